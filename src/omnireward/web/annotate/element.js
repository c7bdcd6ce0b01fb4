// Elements from values. Whatever others wrote comes in as a string and becomes text: no HTML is made anywhere.

/** An element: properties are set, names with a dash as attributes; strings among the children become text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.includes("-") || name === "role") made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children.flat(2).filter((child) => child !== undefined && child !== null));
  return made;
}

/** A text with a key after it, as buttons have it. */
export function keyed(text, ...keys) {
  return [element("span", {}, text), ...keys.map((key) => element("kbd", { "aria-hidden": "true" }, key))];
}

export const byId = (id) => document.getElementById(id);
