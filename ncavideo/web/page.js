"use strict";
// The page around the grid: brush, sliders, sources, recording, keys.

const CELL = 2.5; // CSS pixels
const MOST_CELLS = 512 * 512;
const MOST_IN_SOFTWARE = 192 * 192;
const COUNTED = 1000; // ms over which steps a second are counted

class Page {
  constructor(set) {
    this.set = set;
    this.rules = set.rules.length;
    this.lightAt = set.inputs.indexOf("light");
    this.get = (id) => document.getElementById(id);
    this.canvas = this.get("canvas");
    this.engine = new Engine(this.canvas, set);
    this.strengths = set.rules.map((_, i) => (i === 0 ? 1 : 0));
    this.taking = set.rules.map((_, i) => i); // rules that a source drives, brightest first
    this.brush = "erase";
    this.playing = true;
    this.dirty = true;
    this.owed = 0;
    this.turn = 0; // of the sources: whatever comes late for an earlier one is let go
    this.atOnce = 4;
    this.taken = [];
    this.video = this.get("video");
    this.sampler = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    this.build();
    this.fit();
    this.listen();
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
      radio.addEventListener("change", () => this.choose(index - 1));
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
      Object.assign(box, { type: "checkbox", value: String(index), checked: true });
      box.addEventListener("change", () => this.admit(index, box));
      const text = document.createElement("span");
      text.textContent = rule.name;
      label.append(box, text);
      this.get("taking").append(label);
    });
    this.get("taking").hidden = set.rules.length < 2;
    if (this.lightAt < 0) this.get("light-row").hidden = true;
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) this.get("camera").hidden = true;
    if (!window.MediaRecorder || !this.canvas.captureStream) this.get("record").hidden = true;
    if (!document.documentElement.requestFullscreen) this.get("full").hidden = true;
    if (location.hash === "#embed") document.body.classList.add("embed");
  }

  say(text) {
    this.get("message").textContent = text;
  }

  // Let a rule take part in what a source drives, or not; one has to.
  admit(index, box) {
    const taking = this.taking.filter((rule) => rule !== index);
    if (box.checked) taking.push(index);
    if (!taking.length) {
      box.checked = true;
      return;
    }
    this.taking = taking.sort((a, b) => a - b);
    if (this.control) {
      this.control = new VideoControl(this.taking.length);
      if (this.hasSource()) this.look();
    }
  }

  // As many cells as the stage has room for; what has grown and what was painted stays.
  fit() {
    const box = this.get("stage").getBoundingClientRect();
    const most = this.engine.inSoftware ? MOST_IN_SOFTWARE : MOST_CELLS;
    let [height, width] = [box.height / CELL, box.width / CELL];
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
    if (engine.height === height && engine.width === width) return;
    const before = engine.now ? { state: engine.state(), height: engine.height, width: engine.width, steps: engine.steps } : null;
    engine.resize(height, width);
    const cells = height * width;
    const painted = new Int8Array(cells).fill(-1);
    if (before) {
      const state = new Float32Array(this.set.channels * cells);
      const [rows, columns] = [Math.min(height, before.height), Math.min(width, before.width)];
      const copy = (from, to, c) => {
        for (let y = 0; y < rows; y++) {
          const at = (c * before.height + y) * before.width;
          to.set(from.subarray(at, at + columns), (c * height + y) * width);
        }
      };
      for (let c = 0; c < this.set.channels; c++) copy(before.state, state, c);
      copy(this.painted, painted, 0);
      engine.setState(state);
      engine.steps = before.steps;
    }
    this.painted = painted;
    this.driven = { weights: new Float32Array(this.rules * cells), light: new Float32Array(cells) };
    this.inputs = new Float32Array(this.set.inputs.length * cells);
    this.sampler.canvas.width = width;
    this.sampler.canvas.height = height;
    this.dirty = true;
  }

  hasSource() {
    return this.video.readyState >= 2 && this.video.videoWidth > 0 && !!this.control;
  }

  // What the frame that is shown asks for; a picture covers the grid and is cut where it juts out.
  look() {
    const { video, sampler, engine } = this;
    const scale = Math.max(engine.width / video.videoWidth, engine.height / video.videoHeight);
    const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
    sampler.drawImage(video, (engine.width - w) / 2, (engine.height - h) / 2, w, h);
    const { data } = sampler.getImageData(0, 0, engine.width, engine.height);
    this.driven.weights.fill(0);
    const { control, taking, driven } = this;
    control.read(data, performance.now() / 1000, taking.map((rule) => driven.weights.subarray(rule * driven.light.length, (rule + 1) * driven.light.length)), driven.light);
    this.dirty = true;
  }

  ask() {
    const cells = this.engine.height * this.engine.width;
    const { inputs, painted, rules, lightAt } = this;
    const driven = this.hasSource();
    const total = Math.max(1, this.strengths.reduce((a, b) => a + b, 0));
    const flat = Number(this.get("light").value);
    for (let i = 0; i < cells; i++) {
      for (let r = 0; r < rules; r++) {
        let weight = driven ? this.driven.weights[r * cells + i] : this.strengths[r] / total;
        if (painted[i] >= 0) weight = painted[i] === r ? 1 : 0;
        inputs[r * cells + i] = weight;
      }
      if (lightAt >= 0) inputs[lightAt * cells + i] = 2 * (driven ? this.driven.light[i] : flat) - 1;
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
      // The card is still busy with what it was given: give it no more.
      if (gl.clientWaitSync(this.fence, 0, 0) === gl.TIMEOUT_EXPIRED) {
        this.atOnce = Math.max(1, this.atOnce * 0.8);
        return;
      }
      gl.deleteSync(this.fence);
      this.fence = null;
      this.atOnce = Math.min(32, this.atOnce + 0.2);
    }
    if (this.playing) {
      if (this.hasSource()) this.look();
      this.owed += passed * Number(this.get("speed").value);
      const steps = Math.min(Math.floor(this.owed), Math.floor(this.atOnce));
      this.owed = Math.min(this.owed - steps, 8);
      this.take(steps, now);
    } else if (this.dirty) this.ask();
    engine.show();
    this.fence = gl.fenceSync(gl.SYNC_GPU_COMMANDS_COMPLETE, 0);
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
    const { width, height } = this.engine;
    this.get("status").textContent = `${width} × ${height} cells, ${Math.round(this.rate(now))} steps a second`;
  }

  choose(rule) {
    this.brush = rule < 0 ? "erase" : rule;
    const radio = document.querySelector(`input[name=brush][value="${rule}"]`);
    if (radio) radio.checked = true;
  }

  // `x`, `y`, `radius` in cells.
  dab(x, y, radius) {
    if (this.brush === "erase") {
      this.engine.erase(x, y, radius);
      return;
    }
    const { width, height } = this.engine;
    for (let row = Math.max(0, Math.ceil(y - radius)); row <= Math.min(height - 1, y + radius); row++)
      for (let column = Math.max(0, Math.ceil(x - radius)); column <= Math.min(width - 1, x + radius); column++)
        if ((row - y) ** 2 + (column - x) ** 2 <= radius * radius) this.painted[row * width + column] = this.brush;
    this.dirty = true;
  }

  radius() {
    return Number(this.get("size").value);
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [
      ((event.clientX - box.left) / box.width) * this.engine.width - 0.5,
      ((event.clientY - box.top) / box.height) * this.engine.height - 0.5,
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

  listen() {
    const { canvas } = this;
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
    canvas.addEventListener("webglcontextlost", (event) => {
      event.preventDefault();
      this.say("The graphics device was taken away. Reload the page to go on.");
    });
    const click = (id, does) => this.get(id).addEventListener("click", does);
    click("pause", () => this.pause(this.playing));
    click("reset", () => this.engine.reset());
    click("clear", () => this.clear());
    click("full", () => this.full());
    click("record", () => this.record());
    click("camera", () => this.camera());
    click("none", () => this.stop());
    click("open", () => this.get("file").click());
    this.get("file").addEventListener("change", (event) => this.open(event.target.files[0]));
    this.get("light").addEventListener("input", () => (this.dirty = true));
    this.get("wraps").addEventListener("change", (event) => (this.engine.wraps = event.target.checked));
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
      if (event.dataTransfer.files.length) this.open(event.dataTransfer.files[0]);
    });
    document.addEventListener("keydown", (event) => this.key(event));
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const size = this.get("size");
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key; // Caps Lock or not
    const number = Number(key);
    // Space is also how these are pressed.
    const pressed = event.target instanceof HTMLElement && event.target.closest("button, summary, input[type=checkbox]");
    if (key === " " && !pressed) this.pause(this.playing);
    else if (key === "e") this.choose(-1);
    else if (key >= "1" && key <= "9" && number <= this.rules) this.choose(number - 1);
    else if (key === "[") size.value = String(Number(size.value) - 2);
    else if (key === "]") size.value = String(Number(size.value) + 2);
    else if (key === "r") this.engine.reset();
    else if (key === "c") this.clear();
    else if (key === "f") this.full();
    else if (event.target === this.canvas && this.steer(key)) { /* moved */ }
    else return;
    event.preventDefault();
  }

  // The brush without a mouse: arrows move it, Enter uses it.
  steer(key) {
    const { width, height } = this.engine;
    const pointer = this.get("pointer");
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

  pause(yes) {
    this.playing = !yes;
    this.get("pause").textContent = yes ? "Play" : "Pause";
    this.get("pause").setAttribute("aria-pressed", String(yes));
    if (this.video.src || this.video.srcObject) yes ? this.video.pause() : this.video.play().catch(() => {});
  }

  clear() {
    this.painted.fill(-1);
    this.dirty = true;
  }

  full() {
    if (document.fullscreenElement) document.exitFullscreen();
    else this.get("stage").requestFullscreen().catch(() => this.say("This browser does not allow full screen here."));
  }

  // A file drives the rules.
  open(file) {
    if (!file) return Promise.resolve();
    const begin = () => {
      this.video.src = URL.createObjectURL(file);
      this.video.loop = true;
    };
    return this.source(begin, `${file.name} drives the rules.`, () => `This browser cannot play ${file.name}: try an MP4 with H.264, or a WebM.`);
  }

  camera() {
    const begin = async (current) => {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
      if (current()) this.video.srcObject = stream;
      else for (const track of stream.getTracks()) track.stop();
    };
    return this.source(begin, "The camera drives the rules. Nothing leaves this page.", (error) => `The camera cannot be used: ${error.message || error.name}.`);
  }

  // Begin a source. Another one, or none, may be asked for while this one is still being opened.
  async source(begin, told, failed) {
    this.stop();
    const { turn } = this;
    const current = () => this.turn === turn;
    try {
      await begin(current);
      if (current()) await this.video.play();
    } catch (error) {
      if (!current()) return;
      this.stop();
      this.say(failed(error));
      return;
    }
    if (current()) this.drive(told);
  }

  drive(text) {
    this.control = new VideoControl(this.taking.length);
    this.driving(true);
    this.pause(false);
    this.say(text);
  }

  // What a source drives cannot be set by hand.
  driving(yes) {
    this.get("none").hidden = !yes;
    for (const slider of this.get("strengths").querySelectorAll("input")) slider.disabled = yes;
    this.get("light").disabled = yes;
  }

  stop() {
    const { video } = this;
    this.turn += 1;
    if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
    if (video.src) URL.revokeObjectURL(video.src);
    video.srcObject = null;
    video.removeAttribute("src");
    video.load();
    this.control = null;
    this.driving(false);
    this.dirty = true;
    this.say("");
  }

  record() {
    const button = this.get("record");
    if (this.recorder) {
      this.recorder.stop();
      return;
    }
    const pieces = [];
    const type = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm", "video/mp4"].find((t) => MediaRecorder.isTypeSupported(t));
    this.recorder = new MediaRecorder(this.canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 12e6 });
    this.recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    this.recorder.addEventListener("stop", () => {
      this.recorder = null;
      button.textContent = "Record";
      button.setAttribute("aria-pressed", "false");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(pieces, { type }));
      link.download = `${this.set.name}.${type.startsWith("video/mp4") ? "mp4" : "webm"}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
    this.recorder.start(500);
    button.textContent = "Stop recording";
    button.setAttribute("aria-pressed", "true");
  }
}

function decode(set) {
  for (const name of ["w1", "b1", "w2"]) {
    const bytes = Uint8Array.from(atob(set[name]), (c) => c.charCodeAt(0));
    set[name] = new Float32Array(bytes.buffer);
  }
  return set;
}

try {
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
    open: (file) => page.open(file),
    stop: () => page.stop(),
    Engine,
    VideoControl,
    set: page.set,
  };
} catch (error) {
  document.body.classList.add("unsupported");
  const text = error instanceof Unsupported ? error.message : `This page could not start: ${error.message}`;
  document.getElementById("message").textContent = text;
  if (!(error instanceof Unsupported)) throw error;
}
