// The request that the form makes, as a command and as a program. Both run as they stand: media are read from files
// of the same names in the current folder, and the key comes from the environment, never from this page.

/** Stands in a body for the bytes of a file. */
export class FromFile {
  constructor(name) {
    this.name = name;
  }
}

/** A command for a POSIX shell. */
export function curl(url, body, withKey) {
  let files = false;
  const quiet = (text) => text.replace(/[\\$`]/g, "\\$&"); // what a here-document would expand
  const plain = literal(body, (text) => text, () => (files = true));
  const text = files ? literal(body, quiet, (name) => `"$(base64 < ${quoted(name)} | tr -d '\\n')"`) : plain;
  return [
    `curl ${url} \\`,
    `  -H 'Content-Type: application/json' \\`,
    ...(withKey ? [`  -H "Authorization: Bearer $OMNIREWARD_API_KEY" \\`] : []),
    `  --data-binary @- ${files ? "<<JSON" : "<<'JSON'"}`,
    text,
    "JSON",
  ].join("\n");
}

/** A program that needs Python alone. */
export function python(url, body, withKey) {
  let files = false;
  const text = literal(body, (piece) => piece, (name) => {
    files = true;
    return `base64_of(${JSON.stringify(name)})`;
  }, "    ", "True");
  return [
    ...(files ? ["import base64"] : []),
    "import json",
    ...(withKey ? ["import os"] : []),
    ...(files ? ["from pathlib import Path"] : []),
    "from urllib.request import Request, urlopen",
    "",
    ...(files ? ["", "def base64_of(file):", "    return base64.b64encode(Path(file).read_bytes()).decode()", "", ""] : []),
    `body = ${text}`,
    'headers = {"Content-Type": "application/json"}',
    ...(withKey ? ["headers[\"Authorization\"] = f\"Bearer {os.environ['OMNIREWARD_API_KEY']}\""] : []),
    `request = Request(${JSON.stringify(url)}, json.dumps(body).encode(), headers)`,
    "with urlopen(request) as reply:",
    "    print(json.dumps(json.load(reply), indent=2))",
  ].join("\n");
}

// JSON, and Python where it is told that language's word for true; false and null stand in no body.
function literal(value, escape, file, step = "  ", yes = "true", before = "") {
  const inner = before + step;
  if (value instanceof FromFile) return file(value.name);
  if (value === true) return yes;
  if (Array.isArray(value)) {
    const items = value.map((item) => inner + literal(item, escape, file, step, yes, inner));
    return items.length ? `[\n${items.join(",\n")}\n${before}]` : "[]";
  }
  if (typeof value === "object") {
    const items = Object.entries(value).map(
      ([key, item]) => `${inner}${JSON.stringify(key)}: ${literal(item, escape, file, step, yes, inner)}`,
    );
    return `{\n${items.join(",\n")}\n${before}}`;
  }
  return escape(JSON.stringify(value));
}

function quoted(name) {
  return `'${name.replace(/'/g, "'\\''")}'`;
}
