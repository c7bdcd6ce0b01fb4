// Writing criteria: a field for each, as many as the study takes, sent together.
import { byId, element, keyed } from "./element.js";

const LONGEST = 2000; // characters of one criterion

export class Writing {
  constructor(most, send, changed, tell) {
    this.ask = "By what might somebody prefer one of these responses?";
    Object.assign(this, { most, send, changed, tell });
    this.fields = [];
    this.keys = { Enter: () => this.done(), a: () => this.more() };
  }

  draw(place, form) {
    this.list = element("ol", { id: "criteria" });
    this.add = element("button", { type: "button", id: "add" }, keyed("Add a criterion", "A"));
    this.add.addEventListener("click", () => this.more());
    form.replaceChildren(
      element("h2", {}, "Criteria"),
      element("p", { className: "muted", id: "hint" },
        "Each at least one full sentence that says what makes a response better, such as: “The picture should show the "
        + "cup from above.” It must fit any response, so name neither left nor right."),
      this.list, this.add);
    this.button = element("button", { type: "button", className: "choice main" }, keyed("Send", "Enter"));
    this.button.addEventListener("click", () => this.done());
    place.append(this.button, element("p", { className: "muted" }, "From within a field: ", element("kbd", {}, "Ctrl"),
      " + ", element("kbd", {}, "Enter")));
    this.more("", { focus: false });
  }

  more(text = "", { focus = true } = {}) {
    if (this.fields.length >= this.most) {
      this.tell(`At most ${this.most} ${this.most === 1 ? "criterion" : "criteria"} here.`);
      return;
    }
    const field = element("textarea", { rows: 2, dir: "auto", value: text, maxLength: LONGEST, spellcheck: true,
      "aria-describedby": "hint" });
    const remove = element("button", { type: "button", className: "small" }, "Remove");
    const doubt = element("p", { className: "doubt muted" });
    const row = element("li", {}, field, element("div", { className: "under" }, doubt, remove));
    const entry = { field, remove, doubt, row };
    field.addEventListener("input", () => this.edited());
    field.addEventListener("keydown", (event) => this.typed(event, entry));
    remove.addEventListener("click", () => {
      this.fields.splice(this.fields.indexOf(entry), 1);
      row.remove();
      if (!this.fields.length) this.more();
      this.edited();
      this.fields.at(-1).field.focus();
    });
    this.fields.push(entry);
    this.list.append(row);
    this.name();
    if (focus) {
      this.edited();
      field.focus();
    }
  }

  typed(event, entry) {
    if (event.key !== "Enter" || event.isComposing) return;
    event.preventDefault(); // a criterion is one paragraph
    if (event.ctrlKey || event.metaKey) {
      this.done();
      return;
    }
    const next = this.fields[this.fields.indexOf(entry) + 1];
    if (next) next.field.focus();
    else if (entry.field.value.trim()) this.more();
  }

  name() {
    this.fields.forEach(({ field, remove }, i) => {
      field.setAttribute("aria-label", `Criterion ${i + 1}`);
      remove.setAttribute("aria-label", `Remove criterion ${i + 1}`);
      remove.hidden = this.fields.length === 1 && !field.value;
    });
    this.add.setAttribute("aria-disabled", String(this.fields.length >= this.most));
  }

  edited() {
    this.sure = false;
    for (const { field, doubt } of this.fields) doubt.textContent = doubtOf(field.value.trim());
    this.name();
    this.changed({ criteria: this.fields.map(({ field }) => field.value) });
  }

  get criteria() {
    return this.fields.map(({ field }) => field.value.trim()).filter(Boolean);
  }

  done() {
    const { criteria } = this;
    if (!criteria.length && !this.sure) {
      this.sure = true;
      this.tell("Nothing is written. Send again if there is nothing to say.");
      return;
    }
    if (this.send({ criteria })) byId("ask").focus();
  }

  restore(draft) {
    const texts = (Array.isArray(draft.criteria) ? draft.criteria : []).filter((text) => typeof text === "string");
    if (!texts.length) return;
    this.list.replaceChildren();
    this.fields = [];
    for (const text of texts.slice(0, this.most)) this.more(text, { focus: false });
    for (const { field, doubt } of this.fields) doubt.textContent = doubtOf(field.value.trim());
  }

  lock(locked) {
    this.button.setAttribute("aria-disabled", String(locked));
  }
}

/** A word of doubt about a criterion, for its writer to judge; scripts without spaces and full stops get none. */
function doubtOf(text) {
  if (!text) return "";
  if (/\b(left|right|first|second)\s+(response|answer|image|picture|video|sound|one)\b/i.test(text)) {
    return "Names one of the two responses?";
  }
  if (/^[\x20-\x7e\s]+$/.test(text) && text.split(/\s+/).length < 4) return "Is this a full sentence?";
  return "";
}
