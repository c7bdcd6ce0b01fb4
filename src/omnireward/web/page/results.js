// Answers as rows, the newest first: one row of bars per criterion that was tried, all on one scale.

const KEPT = 8; // rows of the history, or as many as one request asks for

/** The letter of a response: A, B, ... as on the form. */
export function letter(index) {
  return String.fromCharCode(65 + index);
}

/** The rows of answers about one prompt and its responses. */
export class History {
  constructor() {
    this.clear();
  }

  clear() {
    this.key = undefined;
    this.rows = [];
  }

  /** Put rows on top; those of the same criterion below go. Answers about other content start afresh. */
  add(key, rows) {
    if (key !== this.key) this.rows = [];
    this.key = key;
    const asked = new Set(rows.map((row) => row.criterion));
    this.rows = [...rows, ...this.rows.filter((row) => !asked.has(row.criterion))].slice(0, Math.max(KEPT, rows.length));
  }

  /** One element per row. */
  elements() {
    const [low, high] = this.range();
    const place = (value) => (100 * (value - low)) / (high - low);
    return this.rows.map((row, i) =>
      row.judgement ? judgementRow(row) : rewardsRow(row, this.rows[i + 1]?.rewards ?? [], place),
    );
  }

  /** From the lowest to the highest reward of all rows, 0 always within. */
  range() {
    const values = this.rows.flatMap((row) => row.rewards ?? []).filter((r) => "value" in r).map((r) => r.value);
    const low = Math.min(0, ...values);
    const high = Math.max(0, ...values);
    return low === high ? [-1, 1] : [low, high];
  }
}

function rewardsRow(row, before, place) {
  const values = row.rewards.filter((reward) => "value" in reward).map((reward) => reward.value);
  const best = Math.max(...values);
  const bars = make("ul", "bars");
  row.rewards.forEach((reward, i) => {
    bars.append(bar(letter(i), reward, before[i], place, values.length > 1 && reward.value === best));
  });
  return article(row, leader(row.rewards), bars, ...(row.chances ? [make("p", "note chances", inPercent(row.chances))] : []));
}

function bar(name, reward, before, place, best) {
  const item = make("li", "bar-of");
  item.append(make("span", "who", name));
  if (reward.problem !== undefined) {
    item.append(make("span", "problem", `no reward: ${reward.problem}`));
    return item;
  }
  const track = make("span", "track");
  track.setAttribute("aria-hidden", "true");
  const fill = make("span", best ? "fill best" : "fill");
  // A policy that forbids style attributes lets scripts set properties.
  fill.style.left = `${place(Math.min(0, reward.value))}%`;
  fill.style.width = `${Math.abs(place(reward.value) - place(0))}%`;
  const zero = make("span", "zero");
  zero.style.left = `${place(0)}%`;
  track.append(fill, zero);
  const value = make("span", "value", figure(reward.value));
  if (before && "value" in before) {
    const ring = make("span", "ring");
    ring.style.left = `${place(before.value)}%`;
    track.append(ring);
    value.append(make("span", "unseen", `, in the row below ${figure(before.value)}`));
  }
  item.append(track, value);
  return item;
}

/** Which response is ahead and by how much; empty where fewer than two have a reward. */
function leader(rewards) {
  const ranked = rewards.map((reward, i) => [reward.value, letter(i)]).filter(([value]) => value !== undefined);
  if (ranked.length < 2) return "";
  ranked.sort(([a], [b]) => b - a);
  const [[first, name], [second, other]] = ranked;
  return first === second ? `${name} and ${other} are equal` : `${name} leads by ${figure(first - second)}`;
}

function judgementRow(row) {
  const { verdict, failed, figures, rationale } = row.judgement;
  const said = make("div", "said");
  said.append(make("p", failed ? "verdict problem" : "verdict", verdict));
  if (figures.length) {
    const list = make("dl", "figures");
    for (const [name, value] of figures) list.append(make("dt", "", name), make("dd", "", figure(value)));
    said.append(list);
  }
  if (rationale) said.append(make("p", "rationale", rationale));
  return article(row, "", said);
}

function article(row, aside, ...body) {
  const element = make("article", "row");
  const head = make("div", "bar");
  head.append(make("h3", row.criterion ? "" : "none", row.criterion || "overall quality"), make("span", "note", aside));
  element.append(head, ...body);
  return element;
}

/** The chances of two responses in words; that of a tie only where the server knows ties. */
function inPercent({ a, tie, b }) {
  const parts = [`A better ${percent(a)}`, `B better ${percent(b)}`];
  if (tie !== undefined) parts.splice(1, 0, `tie ${percent(tie)}`);
  return parts.join(", ");
}

/** A probability in whole per cent; nothing is certain. */
function percent(value) {
  const whole = Math.min(99, Math.max(1, Math.round(100 * value)));
  return `${value < 0.005 ? "< " : value >= 0.995 ? "> " : ""}${whole} %`;
}

/** A number with a true minus sign: three digits after the point, or as many as show that it is not 0. */
export function figure(value) {
  const size = Math.abs(value);
  const digits = size !== 0 && (size < 0.001 || size >= 1e5) ? size.toPrecision(3) : size.toFixed(3);
  return value < 0 ? `−${digits}` : digits;
}

function make(tag, className, text = "") {
  const element = document.createElement(tag);
  if (className) element.className = className;
  element.textContent = text;
  return element;
}
