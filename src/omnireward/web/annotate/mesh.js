// 3D objects by model-viewer, which is loaded when the first one comes; its pictures where that cannot be.
import { element } from "./element.js";

const LIBRARY = "/vendor/model-viewer.min.js";
const PATIENCE = 60_000; // milliseconds until the next object may load
let library, drawing;
let turn = Promise.resolve(); // one object loads after another: they share one canvas

function loadLibrary() {
  // Its decoder of compressed meshes compiles code, which this page's policy forbids. Without a compiler it does not try.
  delete globalThis.WebAssembly;
  library ??= import(LIBRARY);
  return library;
}

function canDraw() {
  if (!drawing) {
    const context = document.createElement("canvas").getContext("webgl2");
    drawing = Boolean(context);
    context?.getExtension("WEBGL_lose_context")?.loseContext();
  }
  return drawing;
}

export class Meshes {
  constructor() {
    this.viewers = [];
  }

  /** Shows an object: `views()` makes what stands in for it, or undefined. */
  show(url, label, views) {
    const place = element("div", { className: "mesh" });
    const fallback = (why) => {
      place.replaceChildren(views() ?? element("p", { className: "problem" }, `This 3D object cannot be shown: ${why}`));
      place.classList.remove("waiting");
      place.dataset.shown = "views";
    };
    if (!url) fallback("it has no form that a browser takes.");
    else if (!canDraw()) fallback("this browser draws no 3D.");
    else {
      place.classList.add("waiting");
      place.append(element("p", { className: "muted" }, "Loading the 3D object …"));
      turn = turn.then(() => this.load(place, url, label, fallback));
    }
    return place;
  }

  async load(place, url, label, fallback) {
    if (!place.isConnected) return; // the item is gone
    try {
      await loadLibrary();
    } catch (error) {
      library = undefined;
      fallback(`its viewer did not load (${error.message}).`);
      return;
    }
    const viewer = element("model-viewer", {
      "camera-controls": "", "loading": "eager", "interaction-prompt": "none", "touch-action": "pan-y",
      "interpolation-decay": "60", "alt": label, "src": url,
      // Empty: the words here say that it loads, and the mark of its middle would take what is dragged there.
    }, element("div", { slot: "progress-bar" }), element("div", { slot: "pan-target" }));
    await new Promise((resolve) => {
      const done = setTimeout(resolve, PATIENCE);
      viewer.addEventListener("load", () => {
        clearTimeout(done);
        place.classList.remove("waiting");
        place.querySelector("p").remove();
        place.dataset.shown = "object";
        this.join(viewer);
        resolve();
      }, { once: true });
      viewer.addEventListener("error", ({ detail }) => {
        if (detail?.type === "webglcontextlost") return; // the viewer asks for another one by itself
        clearTimeout(done);
        fallback(`${detail?.sourceError?.message ?? "it cannot be read"}.`);
        resolve();
      });
      place.append(viewer);
    });
  }

  /** Turning one object turns all. */
  join(viewer) {
    const own = { viewer, radius: viewer.getCameraOrbit().radius };
    this.viewers.push(own);
    viewer.addEventListener("camera-change", (event) => {
      if (event.detail.source !== "user-interaction") return;
      const { theta, phi, radius } = viewer.getCameraOrbit();
      for (const other of this.viewers) {
        if (other === own || !other.viewer.isConnected) continue;
        other.viewer.cameraOrbit = `${theta}rad ${phi}rad ${other.radius * radius / own.radius}m`;
      }
    });
  }
}
