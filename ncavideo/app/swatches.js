// Rules are chosen by their swatches. The page shows a choice at once, and tells of all the chosen
// ones each time, with a number: a choice that another overtook on its way does not count.
element.addEventListener("click", (event) => {
  const clicked = event.target.closest("button[data-rule]");
  if (!clicked) return;
  const all = [...element.querySelectorAll("button[data-rule]")];
  let chosen = all
    .filter((button) => button.dataset.place)
    .sort((a, b) => a.dataset.place - b.dataset.place);
  chosen = chosen.includes(clicked)
    ? chosen.filter((button) => button !== clicked)
    : [...chosen, clicked];
  for (const button of all) {
    const place = chosen.indexOf(button) + 1;
    button.setAttribute("aria-pressed", String(place > 0));
    if (place) button.dataset.place = place;
    else delete button.dataset.place;
  }
  window.choiceTurn = (window.choiceTurn ?? 0) + 1;
  const rules = chosen.map((button) => button.dataset.rule);
  trigger("select", { rules, number: window.choiceTurn });
});
