// The buttons of the list of renders. The page changes their attributes when the list changes, so
// that a button has to be asked what it is at the moment of the click.
element.addEventListener("click", (event) => {
  const clicked = event.target.closest("button[data-act]");
  if (!clicked) return;
  trigger("select", { entry: Number(clicked.dataset.entry), act: clicked.dataset.act });
});
