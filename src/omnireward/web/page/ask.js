// What is asked, as JSON bodies; sending them; and replies, read strictly: what is no reward never becomes a number.

/** A request that got no usable answer: `message` says why in words; `status` is HTTP's, 0 without an answer. */
export class Unanswered extends Error {
  constructor(message, status = 0) {
    super(message);
    this.status = status;
  }
}

/**
 * The body of /v1/rewards. `inline` gives what stands for a medium's bytes: base64, or a mark in shown code. Two
 * responses are a pair, whose probabilities fit into a line; those of more would fill the page.
 */
export function rewardsBody({ prompt, responses, criteria }, inline) {
  return {
    prompt: [{ role: "user", content: content(prompt, inline) }],
    responses: responses.map((response) => content(response, inline)),
    criteria,
    ...(responses.length === 2 ? { pairs: true } : {}),
  };
}

/** The body of /v1/judgements: the first two responses under one criterion. */
export function judgementBody({ prompt, responses, criteria }, inline, criterion = criteria[0]) {
  return {
    prompt: [{ role: "user", content: content(prompt, inline) }],
    response_a: content(responses[0], inline),
    response_b: content(responses[1], inline),
    criterion,
  };
}

// Media first, then the text: the order in which the form shows them.
function content({ text, media }, inline) {
  const parts = media.map((medium) => ({ type: medium.kind, base64: inline(medium) }));
  if (!parts.length) return text;
  return text.trim() ? [...parts, { type: "text", text }] : parts;
}

/** POST a body and return the reply. Throws Unanswered, or an AbortError when it was stopped. */
export async function post(path, body, { key, signal }) {
  const headers = { "Content-Type": "application/json" };
  if (key) headers.Authorization = `Bearer ${key}`;
  let reply;
  try {
    reply = await fetch(path, { method: "POST", headers, body: JSON.stringify(body), signal, credentials: "omit" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new Unanswered(`No answer from ${new URL(path, document.baseURI).host}. Is the server still running?`);
  }
  let read;
  try {
    read = await reply.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    read = undefined;
  }
  if (!reply.ok) throw new Unanswered(inWords(reply, read), reply.status);
  if (read === null || typeof read !== "object") throw unknown("it is no JSON object");
  return read;
}

function inWords(reply, read) {
  const said = read?.error?.message; // else it is not from this server: a proxy's page
  const because = typeof said === "string" ? ` ${said}` : "";
  if (reply.status === 413) return `This is larger than the server takes.${because}`;
  if (reply.status === 429 || reply.status === 503) {
    const wait = Number(reply.headers.get("Retry-After"));
    return `The server is busy; ask again ${wait > 0 ? `in ${wait} s` : "later"}.${because}`;
  }
  return `The server answered ${reply.status}.${because}`;
}

/** The rewards of a reply, per criterion and response: {value} or {problem} in words. Throws Unanswered. */
export function readRewards(reply, criteria, responses) {
  const rows = reply.rewards;
  if (!Array.isArray(rows) || rows.length !== criteria) throw unknown(`it has no rewards for ${criteria} criteria`);
  return rows.map((row) => {
    if (!Array.isArray(row) || row.length !== responses) throw unknown(`it has no ${responses} rewards per criterion`);
    return row.map((reward) => {
      if (Number.isFinite(reward?.value)) return { value: reward.value };
      if (!reward?.problem) throw unknown("one of its rewards is neither a number nor a problem");
      return { problem: inShort(reward.problem) };
    });
  });
}

/** Of two responses, per criterion, the probabilities of a reply; undefined where it has none. Throws Unanswered. */
export function readChances(reply, criteria) {
  const { pairs, ties, tie_threshold: threshold } = reply;
  if (pairs === undefined) return Array(criteria).fill(undefined);
  if (!Array.isArray(pairs) || pairs.length !== criteria) throw unknown(`it has no pairs for ${criteria} criteria`);
  return pairs.map((row) => {
    if (!Array.isArray(row) || row.length > 1) throw unknown("it has other pairs than that of two responses");
    if (!row.length) return undefined; // one of them has no reward
    const { a, tie, b } = row[0]?.probabilities ?? {};
    if (![a, tie, b].every((one) => Number.isFinite(one) && one >= 0 && one <= 1)) throw unknown("one of its probabilities is none");
    return ties || Number.isFinite(threshold) ? { a, tie, b } : { a, b }; // else nobody measured ties
  });
}

const VERDICTS = { a: "Response A is better", b: "Response B is better", tie: "Neither is better: a tie" };

/** A judgement in words: its verdict, figures beside it, and the rationale. Throws Unanswered. */
export function readJudgement({ judgement, problem }) {
  if (problem) return { failed: true, verdict: `No verdict: ${inShort(problem)}`, figures: [], rationale: "" };
  if (judgement === null || typeof judgement !== "object") throw unknown("it holds no judgement");
  const { margin, rewards, probabilities, verdict, rationale } = judgement;
  const figures = [
    ["margin, A − B", margin],
    ["reward of A", rewards?.a],
    ["reward of B", rewards?.b],
    ["P(A)", probabilities?.a],
    ["P(tie)", probabilities?.tie],
    ["P(B)", probabilities?.b],
  ];
  return {
    failed: false,
    verdict: VERDICTS[verdict] ?? byMargin(margin),
    figures: figures.filter(([, figure]) => Number.isFinite(figure)),
    rationale: typeof rationale === "string" ? rationale : "",
  };
}

function byMargin(margin) {
  if (!Number.isFinite(margin)) return "No verdict";
  return margin > 0 ? VERDICTS.a : margin < 0 ? VERDICTS.b : VERDICTS.tie;
}

function inShort({ kind, message }) {
  return [kind, message].filter((word) => typeof word === "string").join(": ");
}

function unknown(what) {
  return new Unanswered(`The server's reply cannot be read: ${what}.`);
}
