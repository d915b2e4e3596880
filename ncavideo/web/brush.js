"use strict";
// The brush: cells are erased, or painted with a rule, by pointer or by keys.

class Brush {
  constructor(page) {
    this.page = page;
    this.rule = null; // null: it erases
    this.painted = null; // each cell's painted rule, -1 for none
    this.listen();
  }

  listen() {
    const { canvas } = this.page;
    this.strokes = new Map();
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.strokes.delete(event.pointerId);
      this.stroke(event);
      event.preventDefault();
      canvas.focus({ preventScroll: true });
    });
    canvas.addEventListener("pointermove", (event) => {
      if (this.strokes.has(event.pointerId)) this.stroke(event);
    });
    for (const name of ["pointerup", "pointercancel"])
      canvas.addEventListener(name, (event) => this.strokes.delete(event.pointerId));
  }

  choose(rule) {
    this.rule = rule < 0 ? null : rule;
    const radio = document.querySelector(`input[name=brush][value="${rule}"]`);
    if (radio) radio.checked = true;
  }

  // `x`, `y`, `radius` in cells.
  dab(x, y, radius) {
    if (this.rule === null) {
      this.page.engine.erase(x, y, radius);
      return;
    }
    const { width, height } = this.page.engine;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++)
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(width - 1, x + radius); column++)
        if ((row - y) ** 2 + (column - x) ** 2 <= radius * radius) this.painted[row * width + column] = this.rule;
    this.page.dirty = true;
  }

  radius() {
    return Number(this.page.get("size").value);
  }

  place(event) {
    const box = this.page.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.page.engine.width - 0.5,
      ((event.clientY - box.top) / box.height) * this.page.engine.height - 0.5,
    ];
  }

  stroke(event) {
    const [x, y] = this.place(event);
    const [fromX, fromY] = this.strokes.get(event.pointerId) || [x, y];
    const length = Math.hypot(x - fromX, y - fromY);
    const dabs = Math.max(1, Math.ceil(length / Math.max(1, this.radius() / 2)));
    for (let i = 1; i <= dabs; i++)
      this.dab(fromX + ((x - fromX) * i) / dabs, fromY + ((y - fromY) * i) / dabs, this.radius());
    this.strokes.set(event.pointerId, [x, y]);
  }

  // The brush without a mouse: arrows move it, Enter uses it.
  steer(key) {
    const { width, height } = this.page.engine;
    const pointer = this.page.get("pointer");
    const [x, y] = this.pointer || [(width - 1) / 2, (height - 1) / 2]; // the first cell's centre is at 0
    const by = { ArrowLeft: [-4, 0], ArrowRight: [4, 0], ArrowUp: [0, -4], ArrowDown: [0, 4] }[key];
    if (!by && key !== "Enter") return false;
    if (key === "Enter") this.dab(x, y, this.radius());
    const step = by || [0, 0];
    this.pointer = [Math.min(width - 1, Math.max(0, x + step[0])), Math.min(height - 1, Math.max(0, y + step[1]))];
    pointer.hidden = false;
    pointer.style.left = `${(100 * (this.pointer[0] + 0.5)) / width}%`;
    pointer.style.top = `${(100 * (this.pointer[1] + 0.5)) / height}%`;
    return true;
  }

  clear() {
    this.painted.fill(-1);
    this.page.dirty = true;
  }
}
