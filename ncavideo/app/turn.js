(...values) => {
  // Numbers the forms that this page sends, from 1: a form's number is the last of its values.
  window.formTurn = (window.formTurn ?? 0) + 1;
  return [...values.slice(0, -1), window.formTurn];
}
