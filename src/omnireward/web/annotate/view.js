// An item on the page: its question, its prompt and its two responses, and the tools for looking at them.
import { byId, element, keyed } from "./element.js";
import { Meshes } from "./mesh.js";
import { showParts } from "./parts.js";
import { Players } from "./players.js";
import { Zoom } from "./zoom.js";

const ROLES = { user: "User", assistant: "Assistant", system: "System" };
const MODALITIES = { T: "text", I: "image", V: "video", A: "audio", "3D": "3D" };

export class View {
  constructor(item, changed) {
    this.item = item;
    this.changed = changed;
    this.players = new Players(item.id, item.must_play ?? [], () => this.update());
    this.zoom = new Zoom(() => this.update());
    this.meshes = new Meshes();
  }

  draw(ask) {
    const { item } = this;
    document.body.dataset.kind = item.kind;
    byId("task").textContent = inWords(item.task);
    byId("number").textContent = item.of ? `${item.number} of ${item.of}` : "";
    byId("ask").textContent = ask;
    byId("criterion").textContent = item.criterion || (item.kind === "write" ? "" : "Overall quality");
    byId("criterion").dir = "auto";
    byId("criterion").hidden = item.kind === "write";
    byId("prompt").replaceChildren(...this.prompt(item.prompt ?? []));
    const sides = { left: item.left ?? [], right: item.right ?? [] };
    const none = item.kind === "write" && !sides.left.length && !sides.right.length;
    for (const [side, parts] of Object.entries(sides)) {
      const name = side === "left" ? "Left" : "Right";
      const shown = parts.length ? showParts(parts, side, this) : [element("p", { className: "text none" }, "(empty response)")];
      byId(side).replaceChildren(element("h2", {}, name), element("div", { className: parts.length > 1 ? "parts several" : "parts" }, shown));
      byId(side).classList.toggle("words", parts.every((part) => part.kind === "text"));
      byId(side).hidden = none;
      byId(side).scrollTop = 0;
    }
    // Of a conversation, the last turn is what was answered.
    byId("prompt").scrollTop = item.prompt?.length > 1 ? byId("prompt").lastChild.offsetTop - byId("prompt").offsetTop : 0;
    this.tools();
    this.update();
  }

  prompt(turns) {
    const several = turns.length > 1;
    const made = turns.map(({ role, content }) => element("div", { className: `turn ${role === "user" ? "user" : "other"}` },
      several ? element("h3", {}, ROLES[role] ?? String(role)) : undefined,
      element("div", { className: "parts" }, showParts(content, "prompt", this))));
    return [element("h2", {}, "Prompt"), ...made];
  }

  tools() {
    const tool = (id, act, ...text) => {
      const button = element("button", { type: "button", id, className: "small" }, text);
      button.addEventListener("click", act);
      return button;
    };
    this.play = element("span", {}, "Play");
    this.closer = element("span", {}, "Zoom");
    const made = [];
    if (this.players.all.length) {
      made.push(tool("play", () => this.players.toggle(), this.play, element("kbd", { "aria-hidden": "true" }, "Space")));
      const sides = new Set(this.players.all.map(({ side }) => side));
      if (sides.has("left") && sides.has("right")) {
        this.both = tool("together", () => this.toggleTogether(), keyed("Both at once", "S"));
        made.push(this.both);
      }
    }
    if (this.zoom.frames.length) {
      made.push(tool("zoom", () => this.zoom.step(), this.closer, element("kbd", { "aria-hidden": "true" }, "Z")));
    }
    if (document.querySelector("#work .mesh")) made.push(element("span", { className: "muted" }, "Drag turns 3D objects together"));
    byId("controls").replaceChildren(...made);
  }

  toggleTogether() {
    if (this.both) this.players.setTogether(!this.players.together);
    this.update();
  }

  update() {
    this.play.textContent = this.players.playing ? "Pause" : "Play";
    this.both?.setAttribute("aria-pressed", String(this.players.together));
    this.closer.textContent = this.zoom.scale > 1 ? `Zoom ${this.zoom.scale.toFixed(1).replace(".0", "")}×` : "Zoom";
    this.changed();
  }

  /** Media that this person has still to play to the end. */
  get unplayed() {
    return this.players.left.size;
  }

  stop() {
    this.players.stop();
    this.zoom.stop();
  }
}

/** A task's short name in words: TI2T is "text and image to text". */
function inWords(task) {
  const side = (letters) => letters.match(/3D|[TIVA]/g)?.map((letter) => MODALITIES[letter]).join(" and ");
  const [from, to] = String(task).split("2").map(side);
  const words = from && to ? `${from} to ${to}` : String(task);
  return words[0].toUpperCase() + words.slice(1);
}
