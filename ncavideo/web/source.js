"use strict";
// The source that drives the rules: a clip or the camera, frame by frame.

const DRIVEN = 2; // rules that a source drives if nobody chooses, as in `render --rules fire,moss`
const SLOWEST = 1 / 16; // browsers refuse to play more slowly

class Source {
  constructor(page) {
    this.page = page;
    this.taking = page.set.rules.map((_, i) => i).slice(0, DRIVEN); // rules that it drives, brightest first
    this.turn = 0; // a late answer for an earlier turn is dropped
    this.control = null;
    this.driven = null; // expression and light that the last frame asked for
    this.video = page.get("video");
    this.sampler = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
  }

  resize(height, width) {
    const cells = height * width;
    this.driven = { weights: new Float32Array(this.page.rules * cells), light: new Float32Array(cells) };
    this.sampler.canvas.width = width;
    this.sampler.canvas.height = height;
  }

  // The video stops and goes on with the page.
  pause(yes) {
    if (this.video.src || this.video.srcObject) yes ? this.video.pause() : this.video.play().catch(() => {});
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
      if (this.ready()) this.look();
    }
  }

  // Let just these rules take part.
  take(rules) {
    for (const box of this.page.get("taking").querySelectorAll("input")) box.checked = rules.includes(Number(box.value));
    this.taking = rules;
  }

  // Play a clip at `share` of its speed: the grid gets as many steps a frame as it is meant to.
  pace(share) {
    const { video } = this;
    if (!video.src) return;
    const rate = Math.min(1, Math.max(SLOWEST, share));
    // What is as good as full speed is full speed, and small changes are not worth a stutter.
    const next = rate > 0.9 ? 1 : rate;
    if (Math.abs(next - video.playbackRate) > 0.1 * video.playbackRate) video.playbackRate = next;
  }

  ready() {
    return this.video.readyState >= 2 && this.video.videoWidth > 0 && !!this.control;
  }

  // What the frame that is shown asks for; a picture covers the grid and is cut where it juts out.
  look() {
    const { video, sampler } = this;
    const { engine } = this.page;
    const scale = Math.max(engine.width / video.videoWidth, engine.height / video.videoHeight);
    const [w, h] = [video.videoWidth * scale, video.videoHeight * scale];
    sampler.drawImage(video, (engine.width - w) / 2, (engine.height - h) / 2, w, h);
    const { data } = sampler.getImageData(0, 0, engine.width, engine.height);
    const { control, taking, driven } = this;
    driven.weights.fill(0);
    control.read(data, performance.now() / 1000, taking.map((rule) => driven.weights.subarray(rule * driven.light.length, (rule + 1) * driven.light.length)), driven.light);
    this.page.dirty = true;
  }

  // A file drives the rules.
  open(file) {
    if (!file) return Promise.resolve();
    const begin = () => {
      this.video.src = URL.createObjectURL(file);
      this.video.loop = true;
    };
    return this.start(begin, `${file.name} drives the rules.`, () => `This browser cannot play ${file.name}: try an MP4 with H.264, or a WebM.`);
  }

  camera() {
    const begin = async (current) => {
      const stream = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 } }, audio: false });
      if (current()) this.video.srcObject = stream;
      else for (const track of stream.getTracks()) track.stop();
    };
    return this.start(begin, "The camera drives the rules. Nothing leaves this page.", (error) => `The camera cannot be used: ${error.message || error.name}.`);
  }

  // Begin a source. Another one, or none, may be asked for while this one is still being opened.
  async start(begin, told, failed) {
    this.stop();
    const { turn } = this;
    const current = () => this.turn === turn;
    try {
      await begin(current);
      if (current()) await this.video.play();
    } catch (error) {
      if (!current()) return;
      this.stop();
      this.page.say(failed(error));
      return;
    }
    if (current()) this.drive(told);
  }

  drive(text) {
    this.control = new VideoControl(this.taking.length);
    this.driving(true);
    this.page.pause(false);
    this.page.say(text);
  }

  // What a source drives cannot be set by hand.
  driving(yes) {
    this.page.get("none").hidden = !yes;
    for (const slider of this.page.get("strengths").querySelectorAll("input")) slider.disabled = yes;
    this.page.get("light").disabled = yes;
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
    this.page.dirty = true;
    this.page.say("");
  }
}
