// A clip whose left half is a source and whose right half is what became of it, shown as one picture:
// the source up to a line that is dragged, or moved with the arrow keys. One clip for both, so that
// they cannot drift apart.
customElements.define("nca-split", class extends HTMLElement {
  connectedCallback() {
    const video = this.querySelector("video");
    if (!video || this.querySelector("canvas")) return;
    const canvas = document.createElement("canvas");
    const line = document.createElement("input");
    Object.assign(line, { type: "range", min: 0, max: 100, step: 2, value: 50 });
    line.setAttribute("aria-label", "Share of the picture that shows the clip, in percent");
    this.append(canvas, line);
    this.classList.add("nca-split");
    const context = canvas.getContext("2d");
    const draw = () => {
      if (!this.isConnected) return;
      const width = video.videoWidth / 2;
      const height = video.videoHeight;
      if (video.readyState >= 2) {
        if (canvas.width !== width || canvas.height !== height) {
          Object.assign(canvas, { width, height });
        }
        const cut = Math.round((width * line.value) / 100);
        context.drawImage(video, width, 0, width, height, 0, 0, width, height);
        if (cut) context.drawImage(video, 0, 0, cut, height, 0, 0, cut, height);
        context.fillStyle = "#fff";
        context.fillRect(cut - 1, 0, 2, height);
      }
      requestAnimationFrame(draw);
    };
    video.play().catch(() => {});
    requestAnimationFrame(draw);
  }
});
