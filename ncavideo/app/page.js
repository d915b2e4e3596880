// What goes on in a tab ends with it: whoever leaves in the middle is asked first. Gradio's own
// listener would end the connection before there is an answer: this one comes first, and does not
// let it hear.
window.addEventListener("beforeunload", (event) => {
  const busy = ["cancel", "fractal-cancel", "train-stop"].some((id) => {
    const button = document.getElementById(id);
    return button && !button.disabled;
  });
  if (!busy) return;
  event.preventDefault();
  event.stopImmediatePropagation();
});
