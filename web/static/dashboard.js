// The dashboard's own script: live badges, "try it" and copy buttons. Everything else works without it.

const callTimeout = 10_000;
const maxShown = 256 * 1024;
const shownHeaders = ["content-type", "x-request-id", "retry-after", "www-authenticate"];

// credential fetches what to call a connection's server with; it lives five minutes and is not kept.
async function credential(id) {
  const answer = await fetch(`/v1/connections/${encodeURIComponent(id)}/credential`, { method: "POST" })
    .catch(() => { throw new Error("This cloud does not answer."); });
  const body = await answer.json().catch(() => ({}));
  if (!answer.ok) throw new Error([body.detail ?? `This cloud answered ${answer.status}.`, body.hint].filter(Boolean).join(" "));
  return body;
}

// deniedLocally reports whether the person or a policy forbade this page the local network.
async function deniedLocally() {
  const asked = await navigator.permissions?.query({ name: "local-network-access" }).catch(() => null);
  return asked?.state === "denied";
}

// explain says in one line why a browser could not call a server. Scripts are told no reason, so it asks again without
// credential and without reading: what answers to that is up, and only hides its answers from this page.
async function explain(server, error) {
  const url = new URL(server);
  const local = ["localhost", "127.0.0.1", "[::1]"].includes(url.hostname);
  if (error.name === "TimeoutError") return { status: "offline", text: "The server did not answer within ten seconds." };
  if (!navigator.onLine && !local) return { status: "unknown", text: "This browser is offline." };
  if (location.protocol === "https:" && url.protocol === "http:" && !local) {
    return { status: "unknown", text: "This page is https and the server is http: browsers block that (mixed content). Give the server https." };
  }
  if (await deniedLocally()) {
    return { status: "unknown", text: "This browser forbids the page the local network: allow it in the site's settings." };
  }
  try {
    await fetch(server + "/.well-known/ace-server", { mode: "no-cors", credentials: "omit", cache: "no-store",
      signal: AbortSignal.timeout(callTimeout) });
  } catch {
    return { status: "offline", text: `The server is unreachable from this browser: is it running at ${server}?` };
  }
  return { status: "unknown", text: "The server is up, but it redirects or does not let this page read its answers (CORS): "
    + `start it with ACE_ALLOWED_ORIGINS=${location.origin}` };
}

// read takes what there is of a body, up to a bound: an answer may be a stream that never ends.
async function read(answer) {
  const reader = answer.body?.getReader();
  const decoder = new TextDecoder();
  let text = "";
  try {
    while (reader && text.length < maxShown) {
      const { done, value } = await reader.read();
      if (done) return text;
      text += decoder.decode(value, { stream: true });
    }
  } catch { /* cut by the time limit: what has come is shown */ }
  await reader?.cancel().catch(() => {});
  return text === "" ? "" : text.slice(0, maxShown) + "\n… (cut here)";
}

async function call(card, path) {
  const cred = await credential(card.dataset.connection);
  if (!path.startsWith("/")) path = "/" + path;
  const started = performance.now();
  let answer;
  try {
    answer = await fetch(cred.server_url + path, {
      headers: { [cred.header]: cred.value }, credentials: "omit", redirect: "error", cache: "no-store",
      signal: AbortSignal.timeout(callTimeout),
    });
  } catch (error) {
    const { status, text } = await explain(card.dataset.server, error);
    throw Object.assign(new Error(text), { status });
  }
  return { answer, text: await read(answer), took: Math.round(performance.now() - started) };
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

// setBadge changes only what differs: a screen reader speaks of every change.
function setBadge(card, status, cause = "", hint = "") {
  const badge = card.querySelector("[data-badge]");
  if (badge.textContent !== status) {
    badge.textContent = status;
    badge.className = `badge ${status}`;
  }
  const line = card.querySelector("[data-cause]");
  const pieces = hint.split("`"); // hints mark commands with backticks
  if (line.textContent === cause + (cause && hint ? ": " : "") + pieces.join("")) return;
  line.replaceChildren(cause, cause && hint ? ": " : "");
  pieces.forEach((piece, i) => {
    if (i % 2 === 0) return line.append(piece);
    const code = document.createElement("code");
    code.textContent = piece;
    line.append(code);
  });
}

// Where the cloud cannot tell how a server is, this browser may stand nearer to it. Each look costs a credential.
const probeEvery = 60_000;
const probed = new Map();

async function probe(card) {
  const id = card.dataset.connection;
  if (performance.now() - (probed.get(id) ?? -probeEvery) < probeEvery) return;
  probed.set(id, performance.now());
  try {
    const { answer } = await call(card, "/ace/v1/me");
    if (answer.ok) setBadge(card, "online");
    else if (answer.status === 401) setBadge(card, "unauthorized", "API key is invalid or expired", `run \`ace connect --server ${card.dataset.server}\``);
    else setBadge(card, "unknown", `The server answered ${answer.status}.`);
  } catch (error) {
    setBadge(card, error.status ?? "unknown", error.message);
  }
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch("/v1/connections?limit=500").catch(() => null);
  if (!answer?.ok) return;
  for (const item of (await answer.json()).items) {
    const card = document.querySelector(`[data-connection="${CSS.escape(item.id)}"]`);
    if (!card) continue;
    if (item.status !== "unknown") setBadge(card, item.status, item.cause, item.hint);
    else if (card.dataset.key === "ace") probe(card);
  }
}

for (const form of document.querySelectorAll("[data-try]")) {
  const card = form.closest("[data-connection]");
  const out = card.querySelector("[data-answer]");
  const line = card.querySelector("[data-explain]");
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const { answer, text, took } = await call(card, form.elements.path.value);
      const headers = shownHeaders.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`);
      line.textContent = [`${answer.status} ${answer.statusText}`.trim() + ` in ${took} ms`, ...headers].join(" · ");
      out.textContent = pretty(text);
      out.hidden = text === "";
    } catch (error) {
      line.textContent = error.message;
      out.hidden = true;
    } finally {
      button.disabled = false;
    }
  });
}

// The page opens on a working connection: the first that is online, else the first that may be.
const ours = [...document.querySelectorAll('[data-connection][data-key="ace"]')];
const first = ours.find((card) => card.dataset.status === "online") ?? ours[0];
if (first) {
  first.querySelector(".try").open = true;
  first.querySelector("[data-try]").requestSubmit();
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value);
      button.textContent = "Copied";
    } catch {
      source.select();
    }
  });
}

if (document.querySelector("[data-connection]")) {
  refresh();
  setInterval(refresh, 10_000);
}
