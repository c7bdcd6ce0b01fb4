// How long something was in view: time in which the page was hidden does not count.

export class Clock {
  constructor() {
    this.start();
    document.addEventListener("visibilitychange", () => {
      if (document.hidden) this.before += this.stretch();
      this.since = document.hidden ? undefined : performance.now();
    });
  }

  start() {
    this.before = 0;
    this.since = document.hidden ? undefined : performance.now();
  }

  get seconds() {
    return Math.round((this.before + this.stretch())) / 1000;
  }

  stretch() {
    return this.since === undefined ? 0 : performance.now() - this.since;
  }
}
