// Files that a user gives: which kind of part they are, their bytes as base64, and what is shown of them.

export const LARGEST = 45 * 2 ** 20; // bytes: base64 of it still fits into the 64 MiB that a server takes by default
const BY_ENDING = {
  glb: "mesh", obj: "mesh",
  png: "image", jpg: "image", jpeg: "image", webp: "image", gif: "image", bmp: "image",
  mp4: "video", webm: "video", mov: "video", mkv: "video", avi: "video",
  wav: "audio", mp3: "audio", flac: "audio", ogg: "audio", opus: "audio", m4a: "audio",
};
let count = 0;

/** The part that a file is, or undefined: meshes go by their ending, the rest by what the browser takes them for. */
export function kindOf(file) {
  const ending = file.name.toLowerCase().split(".").pop();
  const broad = file.type.split("/")[0];
  if (BY_ENDING[ending] === "mesh") return "mesh";
  return ["image", "video", "audio"].includes(broad) ? broad : BY_ENDING[ending];
}

/** A file read whole. Throws an Error that says in words why it cannot be used. */
export async function readMedium(file) {
  const kind = kindOf(file);
  if (!kind) throw new Error(`${file.name} is not an image, a video, a sound, a .glb or an .obj.`);
  if (file.size > LARGEST) {
    throw new Error(`${file.name} has ${size(file.size)}; this page sends files of up to ${size(LARGEST)}.`);
  }
  if (file.size === 0) throw new Error(`${file.name} is empty.`);
  const base64 = await new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result.slice(reader.result.indexOf(",") + 1));
    reader.onerror = () => reject(new Error(`${file.name} cannot be read.`));
    reader.readAsDataURL(file);
  });
  count += 1;
  return { id: count, kind, name: file.name, bytes: file.size, base64, url: URL.createObjectURL(file) };
}

/** An element that shows a medium, where the browser can. */
export function preview(medium) {
  if (medium.kind === "mesh") return label("3D");
  const element = document.createElement({ image: "img", video: "video", audio: "audio" }[medium.kind]);
  if (medium.kind === "image") element.alt = medium.name;
  else Object.assign(element, { controls: true, muted: medium.kind === "video" });
  element.addEventListener("error", () => element.replaceWith(label("no preview")), { once: true });
  element.src = medium.url;
  return element;
}

/** A number of bytes for people. */
export function size(bytes) {
  if (bytes < 1000) return bytes === 1 ? "1 byte" : `${bytes} bytes`;
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function label(text) {
  const element = document.createElement("span");
  element.className = "no-preview";
  element.textContent = text;
  return element;
}
