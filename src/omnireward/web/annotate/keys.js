// Keys, and when they are none of the page's business.

const TYPING = "input:not([type=range]), textarea, select, [contenteditable]";
const OWN_KEYS = new Set([" ", "Enter", "ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"]);

/**
 * Call `act(key, event)` for keys that are meant for the page; it says whether it did something.
 * Letters are lower case; an arrow with shift is "Shift+ArrowLeft".
 */
export function listen(act) {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || event.repeat) return;
    const target = event.target instanceof Element ? event.target : document.body;
    if (target.matches(TYPING)) {
      if (event.key === "Escape") target.blur();
      return;
    }
    if (document.querySelector("dialog[open]")) return;
    // What has been reached by Tab works as everywhere else: a button is pressed, a player sought through.
    if (OWN_KEYS.has(event.key) && target.matches("button, a, audio, video, input, model-viewer") && byKeys(target)) return;
    const arrow = event.shiftKey && event.key.startsWith("Arrow");
    const key = arrow ? `Shift+${event.key}` : event.key.length === 1 ? event.key.toLowerCase() : event.key;
    if (act(key, event)) event.preventDefault();
  }, { capture: true });
}

function byKeys(target) {
  return target.matches(":focus-visible");
}

/** What the help says. */
export const HELP = {
  vote: [[["1", "←"], "left is better"], [["2", "→"], "right is better"], [["0", "T"], "tie"]],
  check: [[["1"], "good to judge by"], [["2"], "vague"], [["3"], "over-specific"],
    [["4"], "another fault, said in the note"], [["N"], "to the note"]],
  write: [[["A"], "add a criterion"], [["Enter"], "send the criteria; in a field: go to the next one"],
    [["Ctrl + Enter"], "send from within a field"]],
  all: [[["Space"], "play or pause sounds and videos"], [["S"], "both sides together, or in turn"],
    [["Z"], "look closer at pictures: 2×, 4×, whole"], [["Shift + arrows"], "move what is looked at; the mouse drags it"],
    [["U"], "take back your latest answer"], [["P"], "progress"], [["?"], "these keys"]],
};
