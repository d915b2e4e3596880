"use strict";
// The page's keys.

class Shortcuts {
  constructor(page) {
    this.page = page;
    document.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const { page } = this;
    const size = page.get("size");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock or not
    const number = Number(key);
    // Space is also how these are pressed.
    const pressed = event.target instanceof HTMLElement && event.target.closest("button, summary, input[type=checkbox]");
    if (key === " " && !pressed) page.pause(page.playing);
    else if (key === "e") page.brush.choose(-1);
    else if (key >= "1" && key <= "9" && number <= page.rules) page.brush.choose(number - 1);
    else if (key === "[") size.value = String(Number(size.value) - 2);
    else if (key === "]") size.value = String(Number(size.value) + 2);
    else if (key === "r") page.engine.reset();
    else if (key === ".") page.one();
    else if (key === "c") page.brush.clear();
    else if (key === "f") page.full();
    else if (event.target === page.canvas && page.brush.steer(key)) { /* moved */ }
    else return;
    event.preventDefault();
  }
}
