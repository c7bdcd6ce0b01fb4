// Files that did not come, as while the server is away: asked for again, then by a button.
import { element } from "./element.js";

const WAITS = [1000, 2000, 4000, 8000]; // milliseconds before each further try

/**
 * Keep an image, video or sound coming: `place` gets the words and the button when it does not.
 * A file that the browser cannot read fails the same way; it is asked for as often, and no more.
 */
export function insist(medium, url, place, words) {
  let tries = 0;
  let shown;
  const again = () => {
    if (!medium.isConnected && tries) return; // the item is gone
    shown?.remove();
    medium.src = url;
  };
  medium.addEventListener("error", () => {
    if (tries < WAITS.length) setTimeout(again, WAITS[tries]);
    else if (!shown?.isConnected) {
      const button = element("button", { type: "button" }, "Try again");
      button.addEventListener("click", again);
      shown = element("p", { className: "problem" }, `${words} `, button);
      place.append(shown);
    }
    tries += 1;
  });
  again();
}
