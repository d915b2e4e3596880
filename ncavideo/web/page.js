"use strict";
// The page around the grid: its controls, its size, and the loop of frames.

const CELL = 2.5; // CSS pixels; times those of the style pictures that a decoder's cell is across
const MOST_CELLS = 512 * 512;
const MOST_IN_SOFTWARE = 192 * 192;
const COUNTED = 1000; // ms over which steps a second are counted
const LONGEST_FENCE = 2000; // ms; a device may be slow, or never signal a fence
const LOST = "The graphics device was taken away. The page goes on when it is back; if it stays away, reload the page.";

class Page {
  constructor(set) {
    this.set = set;
    this.rules = set.rules.length;
    this.lightAt = set.inputs.indexOf("light");
    this.get = (id) => document.getElementById(id);
    this.canvas = this.get("canvas");
    this.engine = new Engine(this.canvas, set);
    this.strengths = set.rules.map((_, i) => (i === 0 ? 1 : 0));
    this.playing = true;
    this.since = performance.now(); // when it last began to play
    this.dirty = true;
    this.owed = 0;
    this.atOnce = 4;
    this.taken = [];
    this.source = new Source(this);
    this.brush = new Brush(this);
    this.recorder = new Recorder(this.canvas, this.get("record"), set.name);
    this.shortcuts = new Shortcuts(this);
    this.pregrown = new Pregrown(set.pregrown);
    this.address = new Address(this);
    this.build();
    this.fit();
    this.listen();
    this.address.begin();
    this.say(set.rules.length > 1 ? "Drag to erase or paint. Drop a clip on the page to let it drive the rules." : "Drag to erase, and watch it heal.");
    requestAnimationFrame((now) => this.frame(now));
  }

  // Names and prompts come from the file: they only ever become text.
  build() {
    const { set } = this;
    document.title = set.name;
    this.get("name").textContent = set.name;
    const brushes = this.get("brushes");
    const sliders = this.get("strengths");
    ["erase", ...set.rules.map((rule) => rule.name)].forEach((name, index) => {
      const label = document.createElement("label");
      const radio = document.createElement("input");
      Object.assign(radio, { type: "radio", name: "brush", value: String(index - 1), checked: index === 0 });
      radio.addEventListener("change", () => this.brush.choose(index - 1));
      const text = document.createElement("span");
      text.textContent = index === 0 ? "Erase" : name;
      label.title = index === 0 ? "Key E" : `Key ${index}` + (set.rules[index - 1].prompt ? `: ${set.rules[index - 1].prompt}` : "");
      label.append(radio, text);
      brushes.append(label);
    });
    set.rules.forEach((rule, index) => {
      const label = document.createElement("label");
      const text = document.createElement("span");
      text.textContent = rule.name;
      const range = document.createElement("input");
      Object.assign(range, { type: "range", min: "0", max: "1", step: "0.01", value: String(this.strengths[index]) });
      range.addEventListener("input", () => {
        this.strengths[index] = Number(range.value);
        this.dirty = true;
      });
      label.append(text, range);
      sliders.append(label);
    });
    set.rules.forEach((rule, index) => {
      const label = document.createElement("label");
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", value: String(index), checked: this.source.taking.includes(index) });
      box.addEventListener("change", () => this.source.admit(index, box));
      const text = document.createElement("span");
      text.textContent = rule.name;
      label.append(box, text);
      this.get("taking").append(label);
    });
    this.get("taking").hidden = set.rules.length < 2;
    for (let channel = 0; channel < set.channels; channel++) {
      const option = document.createElement("option");
      Object.assign(option, { value: String(channel), textContent: `Channel ${channel + 1}` });
      this.get("show").append(option);
    }
    if (this.lightAt < 0) this.get("light-row").hidden = true;
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) this.get("camera").hidden = true;
    if (!window.MediaRecorder || !this.canvas.captureStream) this.get("record").hidden = true;
    if (!document.documentElement.requestFullscreen) this.get("full").hidden = true;
    if (this.address.embedded) document.body.classList.add("embed");
  }

  say(text) {
    this.get("message").textContent = text;
  }

  // As many cells as the stage has room for; what has grown and what was painted stays.
  fit() {
    this.unfitted = this.engine.gl.isContextLost();
    if (this.unfitted) return; // `restore` does it
    const box = this.get("stage").getBoundingClientRect();
    const most = this.engine.inSoftware ? MOST_IN_SOFTWARE : MOST_CELLS;
    const cell = CELL * (this.set.decoder ? this.set.decoder.pixels : 1);
    let [height, width] = [box.height / cell, box.width / cell];
    const shrink = Math.min(1, Math.sqrt(most / Math.max(1, height * width)));
    height = Math.max(16, Math.round(height * shrink));
    width = Math.max(16, Math.round(width * shrink));
    const ratio = Math.min(2, window.devicePixelRatio || 1);
    this.canvas.width = Math.max(1, Math.round(box.width * ratio));
    this.canvas.height = Math.max(1, Math.round(box.height * ratio));
    this.resize(height, width);
  }

  resize(height, width) {
    const { engine } = this;
    if (engine.gl.isContextLost() || (engine.height === height && engine.width === width)) return;
    const before = engine.now ? { state: engine.state(), height: engine.height, width: engine.width, steps: engine.steps } : null;
    try {
      engine.resize(height, width);
    } catch (error) {
      if (!engine.gl.isContextLost()) throw error;
      this.brush.painted = null;
      this.unfitted = true;
      return;
    }
    const cells = height * width;
    const painted = new Int8Array(cells).fill(-1);
    const state = this.pregrown.fill(height, width);
    if (before) {
      const [rows, columns] = [Math.min(height, before.height), Math.min(width, before.width)];
      const copy = (from, to, c) => {
        for (let y = 0; y < rows; y++) {
          const at = (c * before.height + y) * before.width;
          to.set(from.subarray(at, at + columns), (c * height + y) * width);
        }
      };
      for (let c = 0; c < this.set.channels; c++) copy(before.state, state, c);
      copy(this.brush.painted, painted, 0);
      engine.steps = before.steps;
    }
    engine.setState(state);
    this.brush.painted = painted;
    this.source.resize(height, width);
    this.inputs = new Float32Array(this.set.inputs.length * cells);
    this.dirty = true;
  }

  ask() {
    const cells = this.engine.height * this.engine.width;
    const { inputs, rules, lightAt } = this;
    const { painted } = this.brush;
    const driven = this.source.ready() ? this.source.driven : null;
    const total = Math.max(1, this.strengths.reduce((a, b) => a + b, 0));
    const flat = Number(this.get("light").value);
    for (let i = 0; i < cells; i++) {
      for (let r = 0; r < rules; r++) {
        let weight = driven ? driven.weights[r * cells + i] : this.strengths[r] / total;
        if (painted[i] >= 0) weight = painted[i] === r ? 1 : 0;
        inputs[r * cells + i] = weight;
      }
      if (lightAt >= 0) inputs[lightAt * cells + i] = 2 * (driven ? driven.light[i] : flat) - 1;
    }
    keepAlive(inputs, rules, cells);
    this.engine.setInputs(inputs);
    this.dirty = false;
  }

  frame(now) {
    requestAnimationFrame((next) => this.frame(next));
    const { engine } = this;
    const { gl } = engine;
    const passed = Math.min(0.25, (now - (this.last || now)) / 1000);
    this.last = now;
    if (gl.isContextLost()) return;
    if (this.fence) {
      if (gl.clientWaitSync(this.fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
        this.atOnce = Math.max(1, this.atOnce * 0.8);
        // The device is still busy with what it was given: give it no more.
        if (now - this.fenced < LONGEST_FENCE) return;
        engine.finish(); // reading a pixel waits without a fence
      } else this.atOnce = Math.min(32, this.atOnce + 0.2);
      gl.deleteSync(this.fence);
    }
    if (this.playing) {
      if (this.source.ready()) this.source.look();
      this.owed += passed * Number(this.get("speed").value);
      const steps = Math.min(Math.floor(this.owed), Math.floor(this.atOnce));
      this.owed = Math.min(this.owed - steps, 8);
      this.take(steps, now);
    } else if (this.dirty) this.ask();
    engine.show();
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
    this.fenced = performance.now();
    gl.flush();
    this.report(now);
  }

  take(steps, now = performance.now()) {
    if (this.dirty) this.ask();
    this.engine.step(steps);
    this.taken.push([now, steps]);
  }

  rate(now = performance.now()) {
    this.taken = this.taken.filter(([when]) => now - when < COUNTED);
    return this.taken.reduce((sum, [, steps]) => sum + steps, 0) / (COUNTED / 1000);
  }

  report(now) {
    if (now - (this.reported || 0) < 500) return;
    this.reported = now;
    // A rate that was counted over less time than that says nothing.
    if (this.playing && now - this.since > COUNTED) this.source.pace(this.rate(now) / Number(this.get("speed").value));
    const { width, height } = this.engine;
    this.get("status").textContent = `${width} × ${height} cells, ${Math.round(this.rate(now))} steps a second`;
  }

  listen() {
    const { canvas } = this;
    canvas.addEventListener("webglcontextlost", () => {
      const text = this.get("message").textContent;
      if (text !== LOST) this.told = text;
      this.say(LOST);
    });
    canvas.addEventListener("webglcontextrestored", () => attempt(() => this.restore()));
    const click = (id, does) => this.get(id).addEventListener("click", does);
    click("pause", () => this.pause(this.playing));
    click("step", () => this.one());
    click("reset", () => this.engine.reset());
    click("clear", () => this.brush.clear());
    click("full", () => this.full());
    click("record", () => this.recorder.toggle());
    click("camera", () => this.source.camera());
    click("none", () => this.source.stop());
    click("open", () => this.get("file").click());
    this.get("file").addEventListener("change", (event) => this.source.open(event.target.files[0]));
    this.get("light").addEventListener("input", () => (this.dirty = true));
    this.get("wraps").addEventListener("change", (event) => (this.engine.wraps = event.target.checked));
    this.get("show").addEventListener("change", (event) => (this.engine.shown = event.target.value === "" ? null : Number(event.target.value)));
    window.addEventListener("resize", () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.fit(), 150);
    });
    document.addEventListener("dragover", (event) => {
      event.preventDefault();
      document.body.classList.add("dropping");
    });
    document.addEventListener("dragleave", (event) => {
      if (!event.relatedTarget) document.body.classList.remove("dropping");
    });
    document.addEventListener("drop", (event) => {
      event.preventDefault();
      document.body.classList.remove("dropping");
      if (event.dataTransfer.files.length) this.source.open(event.dataTransfer.files[0]);
    });
  }

  // The device is back and its memory is empty: what had grown begins anew from the grown texture.
  restore() {
    const { engine } = this;
    const { height, width, steps } = engine;
    engine.begin();
    if (this.brush.painted) {
      engine.resize(height, width);
      engine.steps = steps;
      engine.setState(this.pregrown.fill(height, width));
    }
    this.fence = null;
    this.dirty = true;
    if (this.unfitted) this.fit();
    if (this.get("message").textContent === LOST) this.say(this.told);
  }

  pause(yes) {
    if (yes === this.playing) this.since = performance.now();
    this.playing = !yes;
    this.get("pause").textContent = yes ? "Play" : "Pause";
    this.get("pause").setAttribute("aria-pressed", String(yes));
    this.source.pause(yes);
  }

  // One step, to see what it does.
  one() {
    this.pause(true);
    this.take(1);
    this.engine.show();
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.get("stage").requestFullscreen().catch(() => this.say("This browser does not allow full screen here."));
  }

}

function decode(set) {
  for (const part of set.decoder ? [set, set.decoder] : [set])
    for (const name of ["w1", "b1", "w2"]) {
      const bytes = Uint8Array.from(atob(part[name]), (c) => c.charCodeAt(0));
      part[name] = new Float32Array(bytes.buffer);
    }
  return set;
}

const canvas = document.getElementById("canvas");

// Do what needs the device. One that is lost meanwhile comes back, and then it is done again.
function attempt(does) {
  try {
    does();
  } catch (error) {
    const gl = canvas.getContext("webgl2");
    const message = document.getElementById("message");
    if (gl && gl.isContextLost()) {
      message.textContent = LOST;
      return false;
    }
    document.body.classList.add("unsupported");
    message.textContent = error instanceof Unsupported ? error.message : `This page could not start: ${error.message}`;
    if (!(error instanceof Unsupported)) throw error;
  }
  return true;
}

function start() {
  const page = new Page(decode(JSON.parse(document.getElementById("ruleset").textContent)));
  const { engine } = page;
  // For scripts, and for pages that embed this one. Rows and columns are counted in cells.
  window.ncavideo = {
    get size() { return [engine.height, engine.width]; },
    get steps() { return engine.steps; },
    get rate() { return page.rate(); },
    get renderer() { return engine.renderer; },
    resize: (height, width) => page.resize(height, width),
    reset: (seed = 0) => { engine.seed = seed >>> 0; engine.reset(); },
    wrap: (yes) => { engine.wraps = yes; },
    pause: () => page.pause(true),
    play: () => page.pause(false),
    step: (count = 1) => { page.take(count); engine.finish(); engine.show(); },
    state: () => engine.state(),
    setState: (state) => engine.setState(state),
    inputs: () => { page.ask(); return page.inputs.slice(); },
    setInputs: (inputs) => { engine.setInputs(inputs); page.dirty = false; },
    erase: (x, y, radius) => engine.erase(x, y, radius),
    open: (file) => page.source.open(file),
    stop: () => page.source.stop(),
    Engine,
    VideoControl,
    set: page.set,
  };
}

// Without this a browser gives no device back.
canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
if (!attempt(start)) canvas.addEventListener("webglcontextrestored", () => attempt(start), { once: true });
