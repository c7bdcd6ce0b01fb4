// A video that came as frames: pictures in turn, with the few properties of a media element that players use.
import { element } from "./element.js";

const PER_SECOND = 4;

export class Flipbook extends EventTarget {
  constructor(urls, label) {
    super();
    this.urls = urls;
    this.index = 0;
    this.paused = true;
    this.seen = new Set([0]);
    Object.assign(this, { volume: 1, muted: false, playbackRate: 1 });
    this.images = urls.map((url) => element("img", { src: url, alt: "", draggable: false }));
    this.button = element("button", { type: "button", "aria-label": `Play ${label}` }, "▶");
    this.slider = element("input", { type: "range", min: 0, max: urls.length - 1, value: 0, "aria-label": `Frame of ${label}` });
    this.count = element("span", { className: "muted" });
    this.button.addEventListener("click", () => (this.paused ? this.play() : this.pause()));
    this.slider.addEventListener("input", () => {
      this.pause();
      this.show(Number(this.slider.value));
    });
    this.element = element("div", { className: "flipbook", role: "group", "aria-label": label },
      element("div", { className: "leaves" }, this.images),
      element("div", { className: "flip" }, this.button, this.slider, this.count));
    this.show(0);
  }

  get duration() {
    return this.urls.length / PER_SECOND;
  }

  get ended() {
    return this.paused && this.atEnd;
  }

  get complete() {
    return this.seen.size === this.urls.length;
  }

  get currentTime() {
    return this.atEnd ? this.duration : this.index / PER_SECOND;
  }

  set currentTime(seconds) {
    this.atEnd = false;
    this.show(Math.min(this.urls.length - 1, Math.floor(seconds * PER_SECOND)));
  }

  play() {
    if (this.atEnd) this.currentTime = 0;
    this.paused = false;
    this.say("play");
    this.timer = setInterval(() => this.step(), 1000 / PER_SECOND);
    return Promise.resolve();
  }

  pause() {
    if (this.paused) return;
    this.paused = true;
    clearInterval(this.timer);
    this.say("pause");
  }

  step() {
    if (this.index + 1 < this.urls.length) {
      this.show(this.index + 1);
      return;
    }
    this.atEnd = true;
    this.pause();
    this.say("ended");
  }

  show(index) {
    this.index = index;
    this.atEnd = this.atEnd && index === this.urls.length - 1;
    this.seen.add(index);
    this.images.forEach((image, i) => image.classList.toggle("on", i === index));
    this.slider.value = index;
    this.count.textContent = `${index + 1} / ${this.urls.length}`;
    this.say("timeupdate");
  }

  say(type) {
    this.button.textContent = this.paused ? "▶" : "❚❚";
    this.dispatchEvent(new Event(type));
  }
}
