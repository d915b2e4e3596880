// A click on a tile tells its name.
element.addEventListener("click", (event) => {
  const clicked = event.target.closest("button[data-look]");
  if (clicked) trigger("select", { look: clicked.dataset.look });
});
