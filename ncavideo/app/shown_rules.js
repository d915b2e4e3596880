(...values) => {
  // What is asked for has the rules that the swatches show, not those of a choice that is still on
  // its way: the form has a choice when the server has answered it. RULES_AT is their place.
  const buttons = [...document.querySelectorAll("#strip button[data-rule]")];
  if (buttons.length) {
    values[RULES_AT] = buttons
      .filter((button) => button.dataset.place)
      .sort((a, b) => a.dataset.place - b.dataset.place)
      .map((button) => button.dataset.rule);
  }
  return values;
}
