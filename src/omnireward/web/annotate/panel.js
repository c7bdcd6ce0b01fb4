// The panel of progress: what is done, how far annotators agree, what has become of the criteria. Counts only.
import { element } from "./element.js";

/** Elements that show what /api/state says. */
export function figures(state) {
  const { done, left, median_seconds: median, agreement, pairs = [], yield: criteria } = state;
  return [
    section("You", list([
      ["Done", String(done)], ["Left", String(left)],
      ["Typical time", typeof median === "number" ? duration(median) : "none yet"],
    ])),
    section("Agreement of all votes", agreement ? alpha(agreement) : note("No sample has two votes yet.")),
    pairs.length ? section("Pairs of people", table(pairs)) : undefined,
    criteria ? section("Criteria", ...yielded(criteria)) : undefined,
  ].filter(Boolean);
}

function alpha({ alpha: value, low, high, votes }) {
  const known = typeof value === "number";
  const words = [["Krippendorff's alpha", known ? figure(value) : "not defined yet"]];
  if (known && typeof low === "number") words.push(["95 % interval", `${figure(low)} to ${figure(high)}`]);
  words.push(["Votes", String(votes)]);
  return element("div", {}, list(words), known ? interval(value, low, high) : "");
}

/** A line from 0 to 1 with the interval on it. */
function interval(value, low, high) {
  const share = (number) => `${Math.max(0, Math.min(1, number)) * 100}%`;
  const bar = element("div", { className: "span" });
  if (typeof low === "number" && typeof high === "number") {
    bar.style.left = share(low);
    bar.style.right = `calc(100% - ${share(high)})`;
  }
  const dot = element("div", { className: "dot" });
  dot.style.left = share(value);
  return element("div", { className: "interval", "aria-hidden": "true" }, bar, dot);
}

function table(pairs) {
  const rows = pairs.map(({ who, same, both }) => element("tr", {},
    element("td", {}, element("bdi", {}, String(who[0])), " and ", element("bdi", {}, String(who[1]))),
    element("td", { className: "figure" }, `${same} of ${both}`),
    element("td", { className: "figure" }, both ? `${Math.round(100 * same / both)} %` : "–")));
  const head = ["", "same", ""].map((text) => element("th", { scope: "col" }, text));
  return element("table", {}, element("thead", {}, element("tr", {}, head)), element("tbody", {}, rows));
}

const DROPPED = { vague: "vague", specific: "over-specific", other: "another fault", "no consensus": "no consensus", "not shown": "could not be shown" };

function yielded({ criteria, valid, agreed, dropped = {} }) {
  const of = (count) => (criteria ? `${count} · ${Math.round(100 * count / criteria)} %` : String(count));
  const rows = [["Written", String(criteria)], ["Valid", of(valid)], ["Agreed on", of(agreed)]];
  const faults = Object.entries(dropped).filter(([, count]) => count)
    .map(([why, count]) => `${DROPPED[why] ?? why} ${count}`);
  return [list(rows), faults.length ? note(`Dropped: ${faults.join(", ")}.`) : ""];
}

const section = (title, ...content) => element("section", {}, element("h3", {}, title), ...content);
const note = (text) => element("p", { className: "muted" }, text);
const figure = (value) => value.toFixed(2).replace("-", "−");
const list = (rows) => element("dl", { className: "figures" },
  rows.flatMap(([term, text]) => [element("dt", {}, term), element("dd", {}, text)]));

function duration(seconds) {
  return seconds < 90 ? `${seconds.toFixed(seconds < 10 ? 1 : 0)} s` : `${Math.round(seconds / 60)} min`;
}
