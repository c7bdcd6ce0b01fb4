// The page: who is here, what is asked of them, what they answer.
import { call, NoAnswer, patiently, Refusal } from "./api.js";
import { Clock } from "./clock.js";
import { Drafts } from "./drafts.js";
import { byId, element } from "./element.js";
import { HELP, listen } from "./keys.js";
import { Outbox } from "./outbox.js";
import { figures } from "./panel.js";
import { inWords, stageOf } from "./stages.js";
import { View } from "./view.js";

const TOO_SOON = 200; // milliseconds after an item appears: a key pressed twice is not an answer to the next one
const LOOK_AGAIN = 15_000; // milliseconds between looks for more when all is done
const clock = new Clock();
let me, outbox, drafts, view, stage;
let busy = true; // an answer is on its way, or nothing is shown
let appeared = 0;
let lookAgain, taking;

async function begin() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  // At once, so that it is in no history and on no picture of the screen.
  if (token) history.replaceState(null, "", location.pathname + location.search);
  try {
    if (token) await patiently(() => call("/api/login", { token }), away);
    me = await patiently(() => call("/api/state"), away);
  } catch (error) {
    askForLink(error, Boolean(token));
    return;
  }
  byId("name").textContent = me.name;
  byId("open-progress").hidden = false;
  counted(me);
  outbox = new Outbox(me.name, unsaved);
  drafts ??= new Drafts(me.name, tell);
  try {
    const refused = await outbox.sendLeft();
    byId("saved").textContent = "";
    await next(refused.map((sentence) => `An answer from before was not taken: ${sentence}`).join(" "));
  } catch (error) {
    trouble(error);
  }
}

async function next(words = "") {
  busy = true;
  clearTimeout(lookAgain);
  const { item } = await patiently(() => call("/api/next"), away);
  if (byId("saved").className) say(""); // the server is back
  if (item) show(item, words);
  else done();
}

function show(item, words, undone = false) {
  view?.stop();
  stage = stageOf(item, answer, (draft) => drafts.changed(draft), tell);
  stage.draw(fresh("answers"), byId("write"));
  byId("write").hidden = item.kind !== "write";
  view = undefined;
  const shown = new View(item, () => view === shown && relock());
  shown.draw(stage.ask);
  view = shown;
  const draft = drafts.begin(item.id, item.draft);
  if (draft) stage.restore(draft);
  scene("work");
  tell(undone ? `Taken back: ${inWords(draft)}. Answer it again.` : words);
  clock.start();
  appeared = performance.now();
  busy = false;
  relock();
  byId("work").scrollTop = 0;
  (item.kind === "write" ? byId("ask") : byId("criterion")).focus({ preventScroll: true });
}

/** Whether an answer may be given now; it is on its way when this says so. */
function answer(value) {
  if (busy || performance.now() - appeared < TOO_SOON) return false;
  if (view.unplayed) {
    tell(`Play everything to the end first: ${view.unplayed} left. Space plays.`);
    document.body.classList.remove("remind");
    void document.body.offsetWidth; // so that the reminder starts anew
    document.body.classList.add("remind");
    return false;
  }
  busy = true;
  relock();
  deliver(view.item.id, clock.seconds, value);
  return true;
}

async function deliver(item, seconds, value) {
  tell("");
  const slow = setTimeout(() => say("Saving …"), 300);
  try {
    counted(await outbox.send(item, seconds, value));
    clearTimeout(slow);
    drafts.forget();
    say("Saved");
    await next();
  } catch (error) {
    clearTimeout(slow);
    say("");
    if (error instanceof Refusal && error.status === 409) {
      drafts.forget();
      await next(error.message).catch(trouble);
    } else if (error instanceof Refusal && error.status !== 401) {
      busy = false;
      relock();
      tell(`Not taken: ${error.message}`);
    } else trouble(error);
  }
}

async function undo() {
  if (busy && view) return;
  busy = true;
  try {
    await drafts.flush();
    const { item } = await call("/api/undo", {});
    drafts.item = item.id;
    drafts.forget(); // an older draft is not what was taken back
    show(item, "", true);
    refreshCounts();
  } catch (error) {
    if (error instanceof Refusal && error.status === 409 && view) {
      busy = false;
      relock();
      tell(error.message);
    } else if (error instanceof NoAnswer || (error instanceof Refusal && error.status !== 401)) {
      // It may have been taken back all the same; the server knows what comes next.
      await next(error.message).catch(trouble);
    } else trouble(error);
  }
}

function relock() {
  if (!view) return;
  stage.lock(busy || view.unplayed > 0);
  const soon = TOO_SOON - (performance.now() - appeared);
  byId("answers").ariaBusy = String(busy || soon > 0);
  clearTimeout(taking);
  if (!busy && soon > 0) taking = setTimeout(relock, soon + 1);
  document.body.classList.toggle("gated", view.unplayed > 0);
  byId("gate").textContent = view.unplayed ? `Play to the end first: ${view.unplayed} left` : "";
}

// ---- what the page says

function scene(name) {
  for (const id of ["work", "question", "foot", "where"]) byId(id).hidden = name !== "work";
  byId("screen").hidden = name === "work";
}

function screen(title, ...content) {
  view?.stop();
  view = undefined;
  byId("screen").replaceChildren(element("h1", { tabIndex: -1 }, title), ...content);
  scene("screen");
  byId("screen").firstChild.focus();
}

function done() {
  screen("All done", element("p", {}, "Thank you, ", element("bdi", {}, me.name), ". There is nothing left for you at the "
    + "moment. What others do may open more; this page looks for it by itself."), fresh("end-figures"));
  const back = element("button", { type: "button", id: "undo-done" }, "Take back the latest answer ",
    element("kbd", { "aria-hidden": "true" }, "U"));
  back.addEventListener("click", undo);
  byId("screen").append(back);
  refreshCounts();
  lookAgain = setTimeout(() => next().catch(trouble), LOOK_AGAIN);
}

function askForLink(error, tried) {
  if (!(error instanceof Refusal)) throw error;
  const field = element("input", { type: "text", id: "link", autocomplete: "off", spellcheck: false });
  const form = element("form", {}, element("label", { htmlFor: "link" }, "Your link, or the token at its end"), field,
    element("button", { className: "main" }, "Go on"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const token = field.value.trim().replace(/^.*#token=/, "");
    if (token) location.hash = `token=${encodeURIComponent(token)}`;
  });
  screen("Your link, please", element("p", {}, tried ? `This link does not work: ${error.message}`
    : "Everybody who annotates has a link of their own. Open yours, or paste it here."), form);
}

function trouble(error) {
  if (error instanceof Refusal && error.status === 401) askForLink(error, false);
  else if (error instanceof Refusal) screen("The server refuses", element("p", {}, error.message));
  else throw error; // a fault of this page: the console shows where
}

function say(text, className = "") {
  byId("saved").textContent = text;
  byId("saved").className = className;
}

function tell(text) {
  byId("notice").textContent = text;
  byId("notice").title = text;
}

function away(seconds) {
  say(`No answer from the server; trying again in ${Math.ceil(seconds)} s`, "unsaved");
}

function unsaved(seconds) {
  say(`Not saved yet: trying again in ${Math.ceil(seconds)} s`, "unsaved");
  tell("No answer from the server. Your answer is kept in this browser and sent as soon as the server is back.");
}

function counted({ done: count, left }) {
  const all = count + left;
  byId("bar").hidden = !all;
  byId("bar").setAttribute("aria-valuemax", all);
  byId("bar").setAttribute("aria-valuenow", count);
  byId("bar").title = `${count} done, ${left} left`;
  byId("bar").firstElementChild.style.width = `${all ? 100 * count / all : 0}%`;
}

async function refreshCounts() {
  try {
    const state = await call("/api/state");
    counted(state);
    byId("figures").replaceChildren(...figures(state));
    byId("end-figures")?.replaceChildren(...figures(state));
  } catch (error) {
    if (!(error instanceof NoAnswer || error instanceof Refusal)) throw error;
    byId("figures").replaceChildren(element("p", { className: "muted" }, error.message));
  }
}

/** An empty place by its id, made where there is none. */
function fresh(id) {
  const place = byId(id) ?? element("div", { id });
  place.replaceChildren();
  return place;
}

// ---- what a person does

function openProgress() {
  byId("progress").showModal();
  refreshCounts();
  const again = setInterval(() => (byId("progress").open ? refreshCounts() : clearInterval(again)), 5000);
}

function openHelp() {
  const own = HELP[{ adjudicate: "vote" }[view?.item.kind] ?? view?.item.kind] ?? HELP.vote;
  byId("keys").replaceChildren(...[...own, ...HELP.all].flatMap(([keys, what]) => [
    element("dt", {}, keys.map((key) => element("kbd", {}, key))), element("dd", {}, what)]));
  byId("help").showModal();
}

const PANS = { ArrowLeft: [-0.1, 0], ArrowRight: [0.1, 0], ArrowUp: [0, -0.1], ArrowDown: [0, 0.1] };
const EVERYWHERE = { u: undo, "?": openHelp, p: () => me && openProgress() };
const AT_WORK = {
  " ": () => view.players.all.length && (view.players.toggle(), view.update()),
  s: () => view.toggleTogether(),
  z: () => view.zoom.step(),
};

listen((key) => {
  if (key in EVERYWHERE) {
    if (me || key === "?") EVERYWHERE[key]();
    return true;
  }
  if (!view) return false;
  const pan = key.startsWith("Shift+") && PANS[key.slice(6)];
  if (pan) view.zoom.pan(...pan);
  else if (key in AT_WORK) AT_WORK[key]();
  else if (key in stage.keys) stage.keys[key]();
  else return false;
  return true;
});
byId("open-progress").addEventListener("click", openProgress);
byId("open-help").addEventListener("click", openHelp);
byId("undo").addEventListener("click", undo);
byId("write").addEventListener("submit", (event) => event.preventDefault());
for (const dialog of document.querySelectorAll("dialog")) {
  dialog.addEventListener("click", (event) => event.target === dialog && dialog.close()); // beside it
}
addEventListener("hashchange", () => location.hash.startsWith("#token=") && location.reload());
begin();
