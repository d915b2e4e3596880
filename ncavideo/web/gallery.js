"use strict";
// A page is loaded when it is asked for, one at a time: each keeps a graphics device busy.
for (const button of document.querySelectorAll("button[data-page]"))
  button.addEventListener("click", () => {
    for (const frame of document.querySelectorAll("iframe")) {
      frame.parentElement.querySelector("button").hidden = false;
      frame.remove();
    }
    const frame = document.createElement("iframe");
    frame.src = `${button.dataset.page}#embed`;
    frame.title = button.getAttribute("aria-label");
    button.before(frame);
    button.hidden = true;
    frame.focus();
  });
