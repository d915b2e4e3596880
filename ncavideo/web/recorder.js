"use strict";
// The canvas as a video file.

class Recorder {
  constructor(canvas, button, name) {
    this.canvas = canvas;
    this.button = button;
    this.name = name;
    this.recorder = null;
  }

  toggle() {
    const { button } = this;
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
      link.download = `${this.name}.${type.startsWith("video/mp4") ? "mp4" : "webm"}`;
      link.click();
      setTimeout(() => URL.revokeObjectURL(link.href), 60000);
    });
    this.recorder.start(500);
    button.textContent = "Stop recording";
    button.setAttribute("aria-pressed", "true");
  }
}
