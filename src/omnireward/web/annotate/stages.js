// What is asked of a person at each stage, and the buttons and fields that answer it.
//
// A stage has: `ask`, the question; `draw(place, form)`; `keys`, from key to action; `restore(draft)`, which shows an
// earlier answer or a draft; `lock(locked)`, while media are still to be played or an answer is on its way.
import { byId, element, keyed } from "./element.js";
import { Writing } from "./writing.js";

const SIDES = [
  { side: "left", text: "Left is better", keys: ["1", "ArrowLeft"], shown: ["1", "←"] },
  { side: "tie", text: "Tie", keys: ["0", "t"], shown: ["0", "T"] },
  { side: "right", text: "Right is better", keys: ["2", "ArrowRight"], shown: ["2", "→"] },
];
const VERDICTS = [
  { verdict: "ok", text: "Good to judge by", key: "1" },
  { verdict: "vague", text: "Vague", key: "2" },
  { verdict: "specific", text: "Over-specific", key: "3" },
  { verdict: "other", text: "Other fault", key: "4" },
];

/** The stage of an item. `send(answer)` and `changed(draft)` are called with what a person does. */
export function stageOf(item, send, changed, tell) {
  if (item.kind === "write") return new Writing(item.most ?? 1, send, changed, tell);
  if (item.kind === "check") return new Check(send, changed, tell);
  return new Vote(item, send);
}

/** Words for an earlier answer. */
export function inWords(draft) {
  const side = SIDES.find((one) => one.side === draft?.side);
  const verdict = VERDICTS.find((one) => one.verdict === draft?.verdict);
  if (side ?? verdict) return (side ?? verdict).text;
  return Array.isArray(draft?.criteria) ? `${draft.criteria.length} criteria` : "taken back";
}

class Vote {
  constructor(item, send) {
    this.ask = item.kind === "adjudicate" ? "Annotators disagree. Which response is better by this criterion?"
      : "Which response is better by this criterion?";
    this.votes = item.votes;
    this.send = send;
    this.keys = {};
    this.buttons = new Map();
    for (const { side, keys } of SIDES) for (const key of keys) this.keys[key] = () => this.choose(side);
  }

  draw(place) {
    for (const { side, text, shown } of SIDES) {
      const button = element("button", { type: "button", className: `choice ${side}`, "aria-pressed": "false" },
        keyed(text, ...shown));
      if (this.votes) {
        const votes = this.votes[side] ?? 0;
        button.append(element("span", { className: "votes" }, `${votes} ${votes === 1 ? "vote" : "votes"}`));
      }
      button.addEventListener("click", () => this.choose(side));
      this.buttons.set(side, button);
      place.append(button);
    }
  }

  choose(side) {
    if (this.send({ side })) this.restore({ side });
  }

  restore(draft) {
    for (const [side, button] of this.buttons) button.setAttribute("aria-pressed", String(side === draft.side));
  }

  lock(locked) {
    for (const button of this.buttons.values()) button.setAttribute("aria-disabled", String(locked));
  }
}

class Check {
  constructor(send, changed, tell) {
    this.ask = "Can responses be judged by this criterion?";
    Object.assign(this, { send, changed, tell });
    this.buttons = new Map();
    this.keys = { n: () => this.note.focus() };
    for (const { verdict, key } of VERDICTS) this.keys[key] = () => this.choose(verdict);
  }

  draw(place) {
    for (const { verdict, text, key } of VERDICTS) {
      const button = element("button", { type: "button", className: "choice", "aria-pressed": "false" }, keyed(text, key));
      button.addEventListener("click", () => this.choose(verdict));
      this.buttons.set(verdict, button);
      place.append(button);
    }
    this.note = element("input", { type: "text", dir: "auto", id: "note", maxLength: 2000,
      placeholder: "Note: what is wrong with it?" });
    this.note.addEventListener("input", () => this.changed({ verdict: this.verdict ?? "", note: this.note.value }));
    this.note.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" || event.isComposing) return;
      event.preventDefault();
      if (this.verdict === "other") this.choose("other");
      else byId("criterion").focus();
    });
    place.append(element("label", { htmlFor: "note", className: "field" }, keyed("Note", "N"), this.note));
  }

  choose(verdict) {
    const note = this.note.value.trim();
    if (verdict === "other" && !note) {
      this.restore({ verdict, note: "" });
      this.note.focus();
      this.tell("Say in the note what is wrong, then press Enter.");
      return;
    }
    if (this.send({ verdict, note })) this.restore({ verdict, note });
  }

  restore(draft) {
    this.verdict = draft.verdict || undefined;
    if (typeof draft.note === "string") this.note.value = draft.note;
    for (const [verdict, button] of this.buttons) button.setAttribute("aria-pressed", String(verdict === this.verdict));
  }

  lock(locked) {
    for (const button of this.buttons.values()) button.setAttribute("aria-disabled", String(locked));
  }
}
