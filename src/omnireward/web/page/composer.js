// A prompt or a response in the making: text, and media that were chosen, dropped or pasted.
import { preview, readMedium, size } from "./media.js";

export class Composer {
  /** `onChange` is called after every change; `onRemove` is undefined where this one must stay. */
  constructor({ placeholder, onChange, onRemove }) {
    this.element = document.getElementById("composer").content.firstElementChild.cloneNode(true);
    this.media = [];
    this.settled = Promise.resolve(); // until here every file that was given is read
    this.onChange = onChange;
    this.text = this.find("textarea");
    this.text.placeholder = placeholder;
    this.text.addEventListener("input", onChange);
    this.text.addEventListener("paste", (event) => {
      const pasted = event.clipboardData;
      // Office programs give a picture of the words beside the words.
      const words = pasted.getData("text/plain") && pasted.getData("text/html");
      if (pasted.files.length && !words) {
        event.preventDefault();
        this.add(pasted.files);
      }
    });
    const chooser = this.find("input[type=file]");
    this.find(".add").addEventListener("click", () => chooser.click());
    chooser.addEventListener("change", () => {
      this.add(chooser.files);
      chooser.value = ""; // the same file may be chosen again
    });
    this.takeDrops();
    if (onRemove) {
      this.find(".remove").hidden = false;
      this.find(".remove").addEventListener("click", onRemove);
    }
  }

  find(selector) {
    return this.element.querySelector(selector);
  }

  rename(name) {
    this.name = name;
    this.find(".name").textContent = name;
    this.element.setAttribute("aria-label", name);
    this.text.setAttribute("aria-label", `${name}, text`);
    this.find(".add").setAttribute("aria-label", `Add media to ${name}`);
    this.find(".remove").setAttribute("aria-label", `Remove ${name}`);
  }

  get empty() {
    return !this.text.value.trim() && !this.media.length;
  }

  /** Equal as long as the content is. */
  get key() {
    return [this.text.value, this.media.map((medium) => medium.id)];
  }

  fill(text) {
    this.text.value = text;
    for (const medium of this.media.splice(0)) URL.revokeObjectURL(medium.url);
    this.say("");
    this.draw();
  }

  say(problem) {
    const place = this.find(".problem");
    place.textContent = problem;
    place.hidden = !problem;
  }

  /** Read files, one after another, so that they stand in the order in which they were given. */
  add(files) {
    this.say("");
    for (const file of [...files]) {
      this.settled = this.settled.then(async () => {
        try {
          this.media.push(await readMedium(file));
          this.draw();
        } catch (error) {
          this.say(error.message);
        }
      });
    }
    return this.settled;
  }

  draw() {
    const list = this.find(".files");
    // What is there already stays: drawing it anew would stop a sound that plays.
    const there = new Map([...list.children].map((item) => [Number(item.dataset.id), item]));
    list.replaceChildren(...this.media.map((medium) => there.get(medium.id) ?? this.item(medium)));
    list.hidden = !this.media.length;
    this.onChange();
  }

  item(medium) {
    const item = document.createElement("li");
    item.dataset.id = medium.id;
    const name = document.createElement("span");
    name.className = "note";
    name.textContent = `${medium.name} · ${size(medium.bytes)}`;
    const remove = document.createElement("button");
    remove.type = "button";
    remove.textContent = "Remove";
    remove.setAttribute("aria-label", `Remove ${medium.name}`);
    remove.addEventListener("click", () => {
      URL.revokeObjectURL(medium.url);
      this.media.splice(this.media.indexOf(medium), 1);
      this.draw();
      this.find(".add").focus();
    });
    item.append(preview(medium), name, remove);
    return item;
  }

  takeDrops() {
    let depth = 0; // entering a child fires before leaving its parent
    const mark = (by) => {
      depth = by === 0 ? 0 : depth + by;
      this.element.classList.toggle("over", depth > 0);
    };
    const files = (event) => event.dataTransfer.types.includes("Files");
    this.element.addEventListener("dragenter", (event) => files(event) && mark(1));
    this.element.addEventListener("dragleave", (event) => files(event) && mark(-1));
    this.element.addEventListener("drop", (event) => {
      if (!files(event)) return;
      event.preventDefault();
      mark(0);
      this.add(event.dataTransfer.files);
    });
  }
}
