// Parts of a prompt or a response become elements: text as text, media with what it takes to look at them closely.
import { element } from "./element.js";
import { Flipbook } from "./flipbook.js";
import { insist } from "./patience.js";

const NAMES = { image: "image", video: "video", audio: "sound", mesh: "3D object" };

/** What shows parts in order. `stage` has the players, the zoom and the meshes of the item. */
export function showParts(parts, side, stage) {
  const counts = {};
  const rows = []; // media that follow each other stand side by side
  for (const part of parts) {
    counts[part.kind] = (counts[part.kind] ?? 0) + 1;
    const name = NAMES[part.kind] ?? "part";
    const label = `${side}, ${name}${counts[part.kind] > 1 ? ` ${counts[part.kind]}` : ""}`;
    const shown = showPart(part, side, label, stage);
    if (part.kind === "text") rows.push(shown);
    else if (rows.at(-1)?.classList.contains("row")) rows.at(-1).append(shown);
    else rows.push(element("div", { className: "row" }, shown));
  }
  return rows;
}

function showPart(part, side, label, stage) {
  if (part.kind === "text") {
    return part.text.trim() ? element("p", { className: "text", dir: "auto" }, part.text)
      : element("p", { className: "text none" }, "(empty text)");
  }
  const make = { image: showImage, video: showVideo, audio: showAudio, mesh: showMesh }[part.kind];
  const inside = part.error ? problem(part.kind, part.error)
    : !make ? problem("part", "this page does not know its kind.")
    : !local(part) ? problem(part.kind, "it has no address on this server.")
    : make(part, side, label, stage);
  const figure = element("figure", { className: `part ${make ? part.kind : "other"}` }, inside);
  if (part.note) figure.append(element("figcaption", { className: "muted", dir: "auto" }, part.note));
  return figure;
}

function showImage({ url }, side, label, { zoom }) {
  return picture(url, label, zoom);
}

function picture(url, label, zoom) {
  const image = element("img", { alt: label, decoding: "async" });
  const frame = zoom.add(image);
  insist(image, url, frame, "This image cannot be shown.");
  return frame;
}

function showVideo(part, side, label, { players }) {
  if (part.urls) {
    const book = new Flipbook(part.urls, label);
    // The server names a video of frames by whichever address it has put on its list.
    const url = part.urls.find((one) => players.left.has(one)) ?? part.urls[0];
    return element("div", { className: "player" }, book.element, watched(book, url, side, players));
  }
  return player("video", part.url, side, label, players);
}

function showAudio({ url }, side, label, { players }) {
  return player("audio", url, side, label, players);
}

function player(kind, url, side, label, players) {
  const medium = element(kind, { controls: true, preload: "auto", playsInline: true, "aria-label": label });
  medium.disableRemotePlayback = true;
  const place = element("div", { className: "player" }, medium, watched(medium, url, side, players));
  insist(medium, url, place, `This ${NAMES[kind]} cannot be played here.`);
  return place;
}

/** A line that says whether a medium has been played, where it must be, and keeps its place. */
function watched(medium, url, side, players) {
  const line = element("p", { className: "watched", hidden: !players.left.has(url) });
  players.add(medium, url, side, (played) => {
    line.textContent = played ? "played" : "play to the end";
    line.classList.toggle("done", played);
  });
  return line;
}

function showMesh({ url, views }, side, label, { meshes, zoom }) {
  return meshes.show(url, label, () => views?.length
    ? element("div", { className: "views" }, views.map((view, i) => picture(view, `${label}, view ${i + 1}`, zoom)))
    : undefined);
}

function problem(kind, why) {
  return element("p", { className: "problem", dir: "auto" }, `This ${NAMES[kind] ?? kind} cannot be shown: ${why}`);
}

/** Whether every address of a part is one of this server. */
function local({ url, urls = [], views = [] }) {
  const all = [...(url ? [url] : []), ...urls, ...(views ?? [])];
  return all.every((one) => typeof one === "string" && one.startsWith("/media/")) && (all.length > 0 || url === "");
}
