// The page: what is on the form, asking, and showing what came back. Nothing is kept beyond this page's memory.
import { judgementBody, post, readChances, readJudgement, readRewards, rewardsBody } from "./ask.js";
import { Composer } from "./composer.js";
import { History, letter } from "./results.js";
import { curl, FromFile, python } from "./snippets.js";

const byId = (id) => document.getElementById(id);
const history = new History();
const responses = [];
let comparing = false; // whether the server's judge gives no rewards, which its first reply says
let running; // the AbortController of what is being asked

const prompt = new Composer({ placeholder: "What was asked for?", onChange: changed });
prompt.rename("Prompt");
byId("prompt").append(prompt.element);

function addResponse() {
  const response = new Composer({
    placeholder: "One response to it.",
    onChange: changed,
    onRemove: () => {
      responses.splice(responses.indexOf(response), 1);
      response.fill("");
      response.element.remove();
      nameResponses();
      byId("add-response").focus();
    },
  });
  responses.push(response);
  byId("responses").append(response.element);
  nameResponses();
  return response;
}

function nameResponses() {
  responses.forEach((response, i) => response.rename(`Response ${letter(i)}`));
  for (const response of responses) response.find(".remove").hidden = responses.length === 1;
  byId("add-response").hidden = responses.length === 26; // the letters
  changed();
}

function addCriterion(text = "") {
  const item = byId("criterion").content.firstElementChild.cloneNode(true);
  const input = item.querySelector("input");
  input.value = text;
  input.addEventListener("input", changed);
  item.querySelector("button").addEventListener("click", () => {
    item.remove();
    nameCriteria();
    byId("add-criterion").focus();
  });
  byId("criteria").append(item);
  nameCriteria();
  return input;
}

function nameCriteria() {
  const items = [...byId("criteria").children];
  items.forEach((item, i) => {
    item.querySelector("input").setAttribute("aria-label", `Criterion ${i + 1}`);
    item.querySelector("button").setAttribute("aria-label", `Remove criterion ${i + 1}`);
    item.querySelector("button").hidden = items.length === 1;
  });
  changed();
}

function form() {
  const inputs = [...byId("criteria").querySelectorAll("input")];
  const one = (composer) => ({ text: composer.text.value, media: [...composer.media] });
  return {
    prompt: one(prompt),
    responses: responses.map(one),
    criteria: [...new Set(inputs.map((input) => input.value.trim()))],
    key: JSON.stringify([prompt, ...responses].map((composer) => composer.key)),
    at: performance.now(),
  };
}

/** The first thing that keeps the form from being asked, or undefined. */
function lacking() {
  const empty = [prompt, ...responses].find((composer) => composer.empty);
  if (empty) return { composer: empty, message: `${empty.name} is empty.` };
  if (comparing && responses.length < 2) return { message: "This judge compares two responses: add another one." };
  return undefined;
}

async function ask() {
  if (running) return;
  running = new AbortController();
  busy(true);
  try {
    await Promise.all([prompt, ...responses].map((composer) => composer.settled));
    const lack = lacking();
    if (lack) {
      say(lack.message, "bad");
      lack.composer?.text.focus();
      return;
    }
    byId("status").textContent = "Asking …";
    byId("status").className = "notice";
    await answer(form());
  } catch (error) {
    if (error.name === "AbortError") say("Stopped.");
    else if (error.status === undefined) throw error; // a fault of this page: the console shows where
    else if (error.status === 401) askForKey();
    else say(error.message, "bad");
  } finally {
    running = undefined;
    busy(false);
  }
}

async function answer(asked) {
  const call = { key: byId("key").value.trim(), signal: running.signal };
  const inline = (medium) => medium.base64;
  if (!comparing) {
    try {
      const reply = await post("v1/rewards", rewardsBody(asked, inline), call);
      const rewards = readRewards(reply, asked.criteria.length, asked.responses.length);
      const chances = readChances(reply, asked.criteria.length);
      const rows = asked.criteria.map((criterion, i) => ({ criterion, rewards: rewards[i], chances: chances[i] }));
      const all = rewards.flat().length;
      const without = rewards.flat().filter((reward) => "problem" in reward).length;
      show(reply, asked, rows, `${counted(all - without, "reward")}${without ? `, and ${without} without` : ""}`);
      return;
    } catch (error) {
      if (error.status !== 501) throw error; // 501: the judge gives verdicts, not rewards
      comparing = true;
      rename();
      const lack = lacking();
      if (lack) {
        say(lack.message, "bad");
        return;
      }
    }
  }
  for (const criterion of [...asked.criteria].reverse()) { // the first ends on top
    const reply = await post("v1/judgements", judgementBody(asked, inline, criterion), call);
    const others = asked.responses.length > 2 ? "; it compares two, so only A and B were asked" : "";
    show(reply, asked, [{ criterion, judgement: readJudgement(reply) }], `This judge gives verdicts, not rewards${others}`);
  }
}

function show(reply, asked, rows, words) {
  history.add(asked.key, rows);
  byId("served").textContent = served(reply);
  byId("key-panel").hidden = !byId("key").value;
  say(`${words} · ${((performance.now() - asked.at) / 1000).toFixed(2)} s`, "done");
  draw();
}

function counted(number, word) {
  return `${number} ${word}${number === 1 ? "" : "s"}`;
}

function served({ model, revision }) {
  const name = typeof model === "string" ? model : "a model without a name";
  return typeof revision === "string" && revision ? `${name} · revision ${revision.slice(0, 12)}` : name;
}

function askForKey() {
  byId("key-panel").hidden = false;
  byId("key").focus();
  say(byId("key").value ? "The server refused this key." : "The server asks for an API key.", "bad");
}

function say(words, tone = "") {
  byId("status").textContent = words;
  byId("status").className = `notice ${tone}`;
  select(byId("tab-answers"));
  // Where the answers stand below the form.
  if (byId("status").getBoundingClientRect().top > innerHeight) byId("answers").scrollIntoView();
}

function busy(now) {
  byId("ask").setAttribute("aria-disabled", String(now)); // `disabled` would lose the focus
  byId("stop").hidden = !now;
  byId("answers").setAttribute("aria-busy", String(now));
}

function rename() {
  byId("ask").textContent = comparing ? "Ask for a verdict" : "Ask for rewards";
  byId("tab-answers").textContent = comparing ? "Verdicts" : "Rewards";
  draw();
}

function draw() {
  byId("rows").replaceChildren(...history.elements());
  byId("legend").hidden = !history.rows.length;
  byId("legend").querySelector("p").hidden = comparing;
  changed();
}

function changed() {
  if (!responses.length || !byId("criteria").children.length) return; // the form is being set up
  const now = form();
  byId("stale").hidden = !history.rows.length || history.key === now.key;
  const inFile = (medium) => new FromFile(medium.name);
  const compares = comparing && responses.length > 1;
  const url = new URL(compares ? "v1/judgements" : "v1/rewards", document.baseURI).href;
  const body = compares ? judgementBody(now, inFile) : rewardsBody(now, inFile);
  for (const [id, write] of [["curl", curl], ["python", python]]) {
    if (!byId(`panel-${id}`).hidden) code(byId(`panel-${id}`), write(url, body, Boolean(byId("key").value)));
  }
}

function code(panel, text) {
  const copy = document.createElement("button");
  copy.type = "button";
  copy.textContent = "Copy";
  copy.hidden = !navigator.clipboard; // pages of other hosts over plain HTTP have none
  copy.addEventListener("click", async () => {
    await navigator.clipboard.writeText(text);
    copy.textContent = "Copied";
  });
  const pre = document.createElement("pre");
  pre.textContent = text;
  panel.replaceChildren(copy, pre);
}

const tabs = [...byId("tabs").children];
function select(chosen) {
  for (const tab of tabs) {
    tab.setAttribute("aria-selected", String(tab === chosen));
    tab.tabIndex = tab === chosen ? 0 : -1;
    byId(tab.getAttribute("aria-controls")).hidden = tab !== chosen;
  }
  changed();
}

byId("tabs").addEventListener("click", (event) => tabs.includes(event.target) && select(event.target));
byId("tabs").addEventListener("keydown", (event) => {
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  if (!step) return;
  const next = tabs[(tabs.indexOf(event.target) + step + tabs.length) % tabs.length];
  select(next);
  next.focus();
});
byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  ask();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) {
    event.preventDefault();
    ask();
  }
});
byId("stop").addEventListener("click", () => {
  running?.abort();
  byId("ask").focus();
});
byId("key").addEventListener("input", changed);
byId("add-response").addEventListener("click", () => addResponse().text.focus());
byId("add-criterion").addEventListener("click", () => addCriterion().focus());
byId("clear").addEventListener("click", () => {
  history.clear();
  draw();
  say("The history is empty.");
});
byId("example").addEventListener("click", () => {
  prompt.fill("Explain to a child why the sky is blue.");
  while (responses.length < 2) addResponse();
  responses[0].fill("Sunlight is made of all colours. Air bounces the blue ones around the most, so blue comes from everywhere.");
  responses[1].fill("Rayleigh scattering has a cross-section proportional to the inverse fourth power of the wavelength.");
  for (const response of responses.slice(2)) response.find(".remove").click();
  byId("criteria").replaceChildren();
  addCriterion("A child should understand it.");
  addCriterion("It should be exact.");
  byId("ask").focus();
});
for (const kind of ["dragover", "drop"]) {
  // A file dropped beside its place would replace the page, and all that was typed.
  document.addEventListener(kind, (event) => event.preventDefault());
}

addResponse();
addResponse();
addCriterion();
