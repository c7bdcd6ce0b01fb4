// Pictures side by side under one magnifying glass: all show the same part at the same size.
import { element } from "./element.js";

const STEPS = [1, 2, 4];
const LARGEST = 16;
const CRISP = 3; // screen pixels for one of the picture, from which on pixels are drawn as squares

export class Zoom {
  constructor(changed) {
    this.changed = changed;
    this.frames = []; // {frame, image}
    this.scale = 1;
    this.at = { x: 0.5, y: 0.5 }; // what is in the middle, in widths and heights of a picture
    this.sizes = new ResizeObserver(() => this.apply());
  }

  /** A frame that shows a picture whole until zoomed. */
  add(image) {
    const frame = element("div", { className: "frame" }, image);
    this.frames.push({ frame, image });
    image.draggable = false;
    image.addEventListener("load", () => this.apply());
    frame.addEventListener("wheel", (event) => this.wheel(event, frame, image), { passive: false });
    frame.addEventListener("dblclick", (event) => this.step(this.under(event, frame, image)));
    frame.addEventListener("pointerdown", (event) => this.drag(event, frame, image));
    this.sizes.observe(frame);
    return frame;
  }

  /** The next of fit, 2 and 4 times. */
  step(at = this.at) {
    const next = STEPS.find((step) => step > this.scale * 1.01) ?? 1;
    this.to(next, next === 1 ? { x: 0.5, y: 0.5 } : at);
  }

  /** Move the part that is shown, by shares of what is in view. */
  pan(x, y) {
    this.to(this.scale, { x: this.at.x + x / this.scale, y: this.at.y + y / this.scale });
  }

  to(scale, { x, y }) {
    this.scale = Math.max(1, Math.min(LARGEST, scale));
    const reach = Math.max(0, 0.5 - 0.5 / this.scale);
    const within = (value) => Math.max(0.5 - reach, Math.min(0.5 + reach, value));
    this.at = { x: within(x), y: within(y) };
    this.apply();
    this.changed();
  }

  apply() {
    for (const { frame, image } of this.frames) {
      const { width, height } = this.fit(frame, image);
      const [x, y] = [0.5 + (this.at.x - 0.5) * width, 0.5 + (this.at.y - 0.5) * height];
      image.style.transform = this.scale === 1 ? "none"
        : `translate(${(0.5 - this.scale * x) * 100}%, ${(0.5 - this.scale * y) * 100}%) scale(${this.scale})`;
      const pixels = frame.clientWidth * width * this.scale / image.naturalWidth;
      image.classList.toggle("crisp", pixels >= CRISP);
      frame.classList.toggle("zoomed", this.scale > 1);
    }
  }

  /** The shares of its frame's width and height that a picture takes while it is shown whole. */
  fit(frame, image) {
    const shape = (image.naturalWidth / image.naturalHeight) / (frame.clientWidth / frame.clientHeight);
    return Number.isFinite(shape) && shape > 0 ? { width: Math.min(1, shape), height: Math.min(1, 1 / shape) }
      : { width: 1, height: 1 };
  }

  /** The place in a picture under the pointer. */
  under(event, frame, image) {
    const box = frame.getBoundingClientRect();
    const { width, height } = this.fit(frame, image);
    const x = ((event.clientX - box.left) / box.width - 0.5) / width / this.scale + this.at.x;
    const y = ((event.clientY - box.top) / box.height - 0.5) / height / this.scale + this.at.y;
    return { x, y };
  }

  wheel(event, frame, image) {
    if (this.scale === 1 && !event.ctrlKey) return; // the page scrolls
    event.preventDefault();
    const before = this.under(event, frame, image);
    this.scale = Math.max(1, Math.min(LARGEST, this.scale * 2 ** (-event.deltaY / 240)));
    const after = this.under(event, frame, image);
    this.to(this.scale, { x: this.at.x + before.x - after.x, y: this.at.y + before.y - after.y });
  }

  drag(event, frame, image) {
    if (this.scale === 1 || event.button !== 0) return;
    frame.setPointerCapture(event.pointerId);
    let last = event;
    const move = (now) => {
      const { width, height } = this.fit(frame, image);
      const x = (last.clientX - now.clientX) / frame.clientWidth / width / this.scale;
      const y = (last.clientY - now.clientY) / frame.clientHeight / height / this.scale;
      last = now;
      this.to(this.scale, { x: this.at.x + x, y: this.at.y + y });
    };
    const end = () => {
      frame.removeEventListener("pointermove", move);
      frame.removeEventListener("lostpointercapture", end);
    };
    frame.addEventListener("pointermove", move);
    frame.addEventListener("lostpointercapture", end);
  }

  stop() {
    this.sizes.disconnect();
  }
}
