// A mask is painted over the clip's picture of the chosen moment. The strokes are a transparent canvas
// of the picture's size that lies over it; they stay, so that a mask can be corrected later.
const PAINT = "#f97316";
const MOST_UNDONE = 20;
const part = (name) => element.querySelector(`[data-part="${name}"]`);
const easel = part("easel");
const ground = part("ground");
const canvas = part("strokes");
const ring = part("ring");
const size = part("size");
const rules = part("rules");
const context = canvas.getContext("2d", { willReadFrequently: true });
let earlier = []; // the strokes before each change, the oldest first
let last = null; // where the brush is while it is down
let erasing = false;

const copy = () => {
  const made = document.createElement("canvas");
  Object.assign(made, { width: canvas.width, height: canvas.height });
  made.getContext("2d").drawImage(canvas, 0, 0);
  return made;
};

const restore = (strokes) => {
  context.globalCompositeOperation = "copy";
  context.drawImage(strokes, 0, 0, canvas.width, canvas.height);
};

const remember = () => {
  earlier.push(copy());
  if (earlier.length > MOST_UNDONE) earlier.splice(1, 1); // the first is what Cancel brings back
};

const changed = () => {
  const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
  part("use").disabled = !data.some((value, index) => index % 4 === 3 && value);
  part("undo").disabled = earlier.length < 2;
};

const picture = () => document.querySelector("#compare img");

const follow = () => {
  const shown = picture();
  if (shown && ground.src !== shown.src) ground.src = shown.src;
};
const watcher = new MutationObserver(follow);

ground.addEventListener("load", () => {
  const [width, height] = [ground.naturalWidth, ground.naturalHeight];
  part("frame").style.width = `min(100%, 60vh * ${width / height})`;
  if (canvas.width === width && canvas.height === height) return;
  const strokes = copy();
  Object.assign(canvas, { width, height });
  restore(strokes);
});

const begin = () => {
  if (!picture()) return;
  const chosen = [...document.querySelectorAll("#strip button[data-place]")]
    .sort((a, b) => a.dataset.place - b.dataset.place)
    .map((button) => new Option(button.dataset.rule, button.dataset.rule));
  const before = rules.selectedOptions[0]?.value;
  rules.replaceChildren(...chosen, new Option("all: the first there, the last elsewhere", ""));
  if ([...rules.options].some((option) => option.value === before)) rules.value = before;
  else rules.selectedIndex = 0;
  easel.hidden = false;
  earlier = [copy()];
  changed();
  follow();
  const where = { subtree: true, childList: true, attributes: true, attributeFilter: ["src"] };
  watcher.observe(document.querySelector("#stage"), where);
  size.focus({ preventScroll: true });
};

const end = () => {
  watcher.disconnect();
  easel.hidden = true;
  last = null;
  document.querySelector("#paint")?.focus({ preventScroll: true });
};

// White where there are strokes, black elsewhere.
const mask = () => {
  const made = copy();
  const target = made.getContext("2d");
  for (const [operation, colour] of [["source-in", "#fff"], ["destination-over", "#000"]]) {
    target.globalCompositeOperation = operation;
    target.fillStyle = colour;
    target.fillRect(0, 0, made.width, made.height);
  }
  return made.toDataURL("image/png");
};

const acts = {
  erase: () => {
    erasing = !erasing;
    part("erase").setAttribute("aria-pressed", String(erasing));
  },
  undo: () => {
    if (earlier.length > 1) restore(earlier.pop());
    changed();
  },
  clear: () => {
    remember();
    context.clearRect(0, 0, canvas.width, canvas.height);
    changed();
  },
  invert: () => {
    remember();
    context.globalCompositeOperation = "source-out";
    context.fillStyle = PAINT;
    context.fillRect(0, 0, canvas.width, canvas.height);
    changed();
  },
  use: () => {
    window.paintingTurn = (window.paintingTurn ?? 0) + 1;
    trigger("select", { png: mask(), rule: rules.value, number: window.paintingTurn });
    end();
  },
  cancel: () => {
    restore(earlier[0]);
    end();
  },
};

element.addEventListener("click", (event) => {
  const act = event.target.closest("button[data-part]")?.dataset.part;
  if (act) acts[act]();
});
easel.addEventListener("paint-begin", begin);

// The brush: its size is a share of the picture's width, in percent.
const across = () => (canvas.width * size.value) / 100;

const at = (event) => {
  const box = canvas.getBoundingClientRect();
  return [
    ((event.clientX - box.left) * canvas.width) / box.width,
    ((event.clientY - box.top) * canvas.height) / box.height,
  ];
};

const stroke = (from, to, rub) => {
  context.globalCompositeOperation = rub ? "destination-out" : "source-over";
  context.strokeStyle = context.fillStyle = PAINT;
  context.lineWidth = across();
  context.beginPath();
  context.moveTo(...from);
  context.lineTo(...to);
  context.stroke();
  context.beginPath();
  context.arc(...to, across() / 2, 0, 2 * Math.PI);
  context.fill();
};

const rubs = (event) => erasing || Boolean(event.buttons & 32); // the other end of a pen

const show = (event) => {
  const box = canvas.getBoundingClientRect();
  const wide = (box.width * size.value) / 100;
  Object.assign(ring.style, {
    width: `${wide}px`,
    height: `${wide}px`,
    left: `${event.clientX - box.left - wide / 2}px`,
    top: `${event.clientY - box.top - wide / 2}px`,
  });
  ring.hidden = event.type === "pointerleave" || event.pointerType === "touch";
};

canvas.addEventListener("pointerdown", (event) => {
  if (!event.isPrimary || !(event.buttons & 33)) return;
  event.preventDefault();
  canvas.setPointerCapture(event.pointerId);
  remember();
  last = at(event);
  stroke(last, last, rubs(event));
});
canvas.addEventListener("pointermove", (event) => {
  show(event);
  if (!last || !event.isPrimary) return;
  // What came since the last frame, too: a quick stroke is no polygon.
  const moves = event.getCoalescedEvents();
  for (const move of moves.length ? moves : [event]) {
    const next = at(move);
    stroke(last, next, rubs(event));
    last = next;
  }
});
for (const name of ["pointerup", "pointercancel"]) {
  canvas.addEventListener(name, (event) => {
    if (!last || !event.isPrimary) return;
    last = null;
    changed();
  });
}
canvas.addEventListener("pointerleave", show);
