// Talking to the server: what it says, what it refuses, and waiting for it while it is away.

const PATIENCE = 20_000; // milliseconds for one reply
const FIRST_WAIT = 250; // milliseconds, doubled with every failure
const LONGEST_WAIT = 4_000;

/** The server was reached, and says no; `status` says how. */
export class Refusal extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

/** No usable reply: the server is away, or has trouble of its own. Asking again may help. */
export class NoAnswer extends Error {}

/** The reply to a GET, or to a POST where there is a body. Throws Refusal or NoAnswer. */
export async function call(path, body, { keepalive = false } = {}) {
  const options = { redirect: "error", signal: AbortSignal.timeout(PATIENCE), keepalive };
  if (body !== undefined) {
    options.method = "POST";
    options.headers = { "Content-Type": "application/json", "X-Omnireward": "1" };
    options.body = JSON.stringify(body);
  }
  let response, reply;
  try {
    response = await fetch(path, options);
    reply = await response.json();
  } catch (error) {
    if (response && response.status < 500 && !response.ok) throw new Refusal(response.status, refused(response, {}));
    throw new NoAnswer(`No answer from the server (${error.message}).`);
  }
  if (response.ok && typeof reply === "object" && reply !== null) return reply;
  if (response.ok || response.status >= 500 || [408, 425, 429].includes(response.status)) {
    throw new NoAnswer(`The server has trouble (${response.status}).`);
  }
  throw new Refusal(response.status, refused(response, reply ?? {}));
}

/**
 * What `task` gives, tried again until the server answers, at longest every few seconds.
 * `waiting(seconds)` is called before every wait. A Refusal is thrown on.
 */
export async function patiently(task, waiting = () => {}) {
  for (let wait = FIRST_WAIT; ; wait = Math.min(wait * 2, LONGEST_WAIT)) {
    try {
      return await task();
    } catch (error) {
      if (!(error instanceof NoAnswer)) throw error;
      waiting(wait / 1000);
      await pause(wait);
    }
  }
}

/** A while, cut short when the network comes back. */
function pause(milliseconds) {
  return new Promise((resolve) => {
    const over = () => {
      removeEventListener("online", over);
      clearTimeout(timer);
      resolve();
    };
    const timer = setTimeout(over, milliseconds);
    addEventListener("online", over);
  });
}

function refused(response, reply) {
  return typeof reply.error === "string" ? reply.error : `The server refuses this (${response.status}).`;
}
