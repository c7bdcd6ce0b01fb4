// Unfinished answers: kept here with every change, sent a moment later and every few seconds until the server has them.
import { call } from "./api.js";

const AFTER = 800; // milliseconds after the last change
const AGAIN = 4_000; // milliseconds between tries

export class Drafts {
  constructor(name, report) {
    this.prefix = `omnireward.draft.${name}.`;
    this.report = report;
    this.item = "";
    this.unsaved = undefined;
    setInterval(() => this.flush(), AGAIN);
    document.addEventListener("visibilitychange", () => document.hidden && this.flush({ keepalive: true }));
    addEventListener("pagehide", () => this.flush({ keepalive: true }));
  }

  /** Begin with an item; gives its newest draft. One that only this browser has is newer than the server's. */
  begin(item, served) {
    this.item = item;
    this.unsaved = undefined;
    const own = this.own();
    if (own) this.changed(own);
    return own ?? served ?? undefined;
  }

  changed(draft) {
    this.unsaved = draft;
    try {
      localStorage.setItem(this.prefix + this.item, JSON.stringify(draft));
    } catch { /* no storage: the server has it in a moment */ }
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.flush(), AFTER);
  }

  async flush(options) {
    clearTimeout(this.timer);
    const { item, unsaved } = this;
    if (unsaved === undefined) return;
    try {
      await call("/api/draft", { item, draft: unsaved }, options);
    } catch (error) {
      if (this.item === item && this.unsaved) this.report(`Draft kept in this browser only. ${error.message}`);
      return;
    }
    if (this.item !== item || this.unsaved !== unsaved) return; // it has changed since
    this.forget();
    this.report("Draft saved.");
  }

  /** The item is answered, or its draft is saved. */
  forget() {
    clearTimeout(this.timer);
    this.unsaved = undefined;
    try {
      localStorage.removeItem(this.prefix + this.item);
    } catch { /* no storage */ }
  }

  own() {
    try {
      return JSON.parse(localStorage.getItem(this.prefix + this.item)) ?? undefined;
    } catch {
      return undefined;
    }
  }
}
