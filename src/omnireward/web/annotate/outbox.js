// Answers on their way. One is kept in this browser from before it is first sent until the server has it or refuses it,
// and is sent with the key that it got here, so that however often it arrives it counts once.
import { call, patiently, Refusal } from "./api.js";

export class Outbox {
  /** `name` is whose answers these are: another person at this browser does not send them. */
  constructor(name, waiting) {
    this.prefix = `omnireward.unsent.${name}.`;
    this.waiting = waiting;
    this.memory = new Map(); // where the browser keeps nothing
  }

  /** Keep an answer and send it until the server has it. Throws Refusal. */
  send(item, seconds, answer) {
    const entry = { key: uuid(), item, seconds, answer, at: Date.now() };
    this.keep(entry);
    return this.deliver(entry);
  }

  /** Send what an earlier visit left behind, oldest first; gives the sentences of those that were refused. */
  async sendLeft() {
    const refused = [];
    for (const entry of this.entries()) {
      try {
        await this.deliver(entry);
      } catch (error) {
        if (!(error instanceof Refusal) || error.status === 401) throw error;
        if (error.status !== 409) refused.push(error.message); // 409: the server has an answer already
      }
    }
    return refused;
  }

  async deliver(entry) {
    const { key, item, seconds, answer } = entry;
    try {
      const reply = await patiently(() => call("/api/answer", { item, key, seconds, answer }), this.waiting);
      this.drop(key);
      return reply;
    } catch (error) {
      // Who is not logged in can still log in and send it; nothing else makes a refused answer welcome.
      if (error instanceof Refusal && error.status !== 401) this.drop(key);
      throw error;
    }
  }

  entries() {
    const found = [...this.memory.values()];
    try {
      for (const name of Object.keys(localStorage)) {
        if (name.startsWith(this.prefix)) found.push(JSON.parse(localStorage.getItem(name)));
      }
    } catch { /* no storage */ }
    return found.sort((one, other) => one.at - other.at);
  }

  keep(entry) {
    try {
      localStorage.setItem(this.prefix + entry.key, JSON.stringify(entry));
    } catch {
      this.memory.set(entry.key, entry);
    }
  }

  drop(key) {
    this.memory.delete(key);
    try {
      localStorage.removeItem(this.prefix + key);
    } catch { /* no storage */ }
  }
}

function uuid() {
  if (crypto.randomUUID) return crypto.randomUUID();
  // Outside of a secure context, such as another machine's address without TLS.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[6] = (bytes[6] & 0x0f) | 0x40;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
  return digits.replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}
