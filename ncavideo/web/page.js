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
    this.brush = "erase";
    this.playing = true;
    this.dirty = true;
    this.owed = 0;
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
    if (this.lightAt < 0) this.get("light-row").hidden = true;
    if (!navigator.mediaDevices || !navigator.mediaDevices.getUserMedia) this.get("camera").hidden = true;
    if (!window.MediaRecorder || !this.canvas.captureStream) this.get("record").hidden = true;
    if (!document.documentElement.requestFullscreen) this.get("full").hidden = true;
    if (location.hash === "#embed") document.body.classList.add("embed");
  }

  say(text) {
    this.get("message").textContent = text;
  }

  // As many cells as the stage has room for; what has grown stays.
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
    if (before) {
      const state = new Float32Array(this.set.channels * cells);
      for (let c = 0; c < this.set.channels; c++)
        for (let y = 0; y < Math.min(height, before.height); y++)
          for (let x = 0; x < Math.min(width, before.width); x++)
            state[(c * height + y) * width + x] = before.state[(c * before.height + y) * before.width + x];
      engine.setState(state);
      engine.steps = before.steps;
    }
    this.painted = new Int8Array(cells).fill(-1);
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
    this.control.read(data, performance.now() / 1000, this.driven.weights, this.driven.light);
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
    const typing = event.target instanceof HTMLElement && event.target.closest("input[type=range]");
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    const size = this.get("size");
    const number = Number(event.key);
    const onButton = event.target instanceof HTMLButtonElement;
    if (event.key === " " && !onButton) this.pause(this.playing);
    else if (event.key === "e") this.choose(-1);
    else if (event.key >= "1" && event.key <= "9" && number <= this.rules) this.choose(number - 1);
    else if (event.key === "[") size.value = String(Number(size.value) - 2);
    else if (event.key === "]") size.value = String(Number(size.value) + 2);
    else if (event.key === "r") this.engine.reset();
    else if (event.key === "c") this.clear();
    else if (event.key === "f") this.full();
    else if (event.target === this.canvas && !typing && this.steer(event.key)) { /* moved */ }
    else return;
    event.preventDefault();
  }

  // The brush without a mouse: arrows move it, Enter uses it.
  steer(key) {
    const { width, height } = this.engine;
    const pointer = this.get("pointer");
    const [x, y] = this.pointer || [width / 2, height / 2];
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
  async open(file) {
    if (!file) return;
    this.stop();
    this.video.src = URL.createObjectURL(file);
    this.video.loop = true;
    try {
      await this.video.play();
      this.drive(`${file.name} drives the rules.`);
    } catch {
      this.stop();
      this.say(`This browser cannot play ${file.name}: try an MP4 with H.264, or a WebM.`);
    }
  }

  async camera() {
    this.stop();
    try {
      this.video.srcObject = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
      await this.video.play();
      this.drive("The camera drives the rules. Nothing leaves this page.");
    } catch (error) {
      this.stop();
      this.say(`The camera cannot be used: ${error.message || error.name}.`);
    }
  }

  drive(text) {
    this.control = new VideoControl(this.rules);
    this.get("none").hidden = false;
    this.say(text);
  }

  stop() {
    const { video } = this;
    if (video.srcObject) for (const track of video.srcObject.getTracks()) track.stop();
    if (video.src) URL.revokeObjectURL(video.src);
    video.srcObject = null;
    video.removeAttribute("src");
    video.load();
    this.control = null;
    this.get("none").hidden = true;
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
    const type = ["video/webm;codecs=vp9", "video/webm;codecs=vp8", "video/webm"].find((t) => MediaRecorder.isTypeSupported(t));
    this.recorder = new MediaRecorder(this.canvas.captureStream(30), { mimeType: type, videoBitsPerSecond: 12e6 });
    this.recorder.addEventListener("dataavailable", (event) => pieces.push(event.data));
    this.recorder.addEventListener("stop", () => {
      this.recorder = null;
      button.textContent = "Record";
      button.setAttribute("aria-pressed", "false");
      const link = document.createElement("a");
      link.href = URL.createObjectURL(new Blob(pieces, { type: "video/webm" }));
      link.download = `${this.set.name}.webm`;
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
