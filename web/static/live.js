// Live status: badges, causes, and how this browser reaches each server.

const pollEvery = 15_000; // ms, where the cloud sends no events
const retryFirst = 4_000; // ms, until events are asked for again; twice as long after each failure
const retryMost = 120_000;
const lookEvery = 60_000; // ms between checks of a server from this browser; each costs a credential
const maxLooks = 8; // servers at a time

/**
 * Keeps the connections on a page up to date.
 * @returns {(id: string) => Promise<import("./ace.js").Connection>} finds one of them
 */
export function follow(ace) {
  const cards = new Map();
  const conns = new Map();
  const looked = new Map(); // when
  const told = new Map(); // when an event last told of a connection
  for (const card of document.querySelectorAll("[data-connection]")) cards.set(card.dataset.connection, card);

  // refresh reads all connections from the cloud.
  async function refresh() {
    const [only] = cards.keys();
    const asked = performance.now();
    const found = cards.size === 1 ? [await ace.connection(only)] : await ace.connections();
    for (const conn of found) {
      const card = cards.get(conn.id);
      conns.set(conn.id, conn);
      if (!card) continue;
      if ((told.get(conn.id) ?? -1) < asked) show(card, conn.info); // else an event was newer
      showWay(card, conn);
    }
    look();
  }

  // look checks servers whose status the cloud cannot tell: this browser may be able to reach them.
  function look() {
    const due = [...cards].filter(([id, card]) => card.dataset.status === "unknown" && card.dataset.key === "ace" && conns.has(id)
      && !document.hidden && performance.now() - (looked.get(id) ?? -lookEvery) >= lookEvery);
    for (const [id, card] of due.slice(0, maxLooks)) {
      looked.set(id, performance.now());
      const conn = conns.get(id);
      const unknown = () => card.dataset.status === "unknown"; // else the cloud has learnt the status meanwhile
      conn.ready().then(() => (unknown() ? showSeen : showWay)(card, conn), (error) => { if (unknown()) setBadge(card, "unknown", error.message, error.hint); });
    }
  }

  function on(event, data) {
    const card = cards.get(data.id);
    if (!card) return;
    if (event === "status") {
      told.set(data.id, performance.now());
      show(card, data);
      return look();
    }
    cards.delete(data.id);
    setBadge(card, "unknown", "You have no access to this connection any more.");
    card.querySelectorAll("button, input").forEach((control) => { control.disabled = true; });
  }

  const first = listen(refresh, on);
  setInterval(look, lookEvery);
  return async (id) => {
    if (!conns.has(id)) await first;
    return conns.get(id) ?? ace.connection(id);
  };
}

// listen receives the cloud's events while the page is visible. If it gets none, it polls, and asks for events again after a
// delay that differs between pages. It returns a promise of the first refresh.
function listen(refresh, on) {
  let source, timer, again, failures = 0, ended = false;
  const rest = () => {
    clearInterval(timer);
    clearTimeout(again);
  };
  const ask = () => refresh().catch((error) => {
    if (error.status !== 401) return;
    ended = true;
    rest();
    signedOut();
  });
  const start = () => {
    source?.close();
    rest();
    if (document.hidden) return Promise.resolve(); // browsers give a host few connections for all their tabs
    source = new EventSource("/v1/connections/events");
    for (const name of ["status", "removed"]) source.addEventListener(name, (event) => on(name, JSON.parse(event.data)));
    source.addEventListener("open", () => { failures = 0; });
    source.addEventListener("error", () => {
      if (source.readyState !== EventSource.CLOSED) return; // it connects again by itself
      rest();
      if (ended) return;
      timer = setInterval(ask, pollEvery);
      again = setTimeout(start, Math.min(retryMost, retryFirst * 2 ** failures++) * (0.5 + Math.random()));
      ask();
    });
    return ask();
  };
  document.addEventListener("visibilitychange", start);
  return start();
}

// show shows the connection's status in the cloud.
function show(card, info) {
  card.dataset.status = info.status;
  setText(card, "[data-latency]", info.latency_ms == null ? "" : `${info.latency_ms} ms`);
  if (info.status !== "unknown" || card.dataset.key !== "ace") setBadge(card, info.status, info.cause ?? "", info.hint ?? "");
}

// showSeen shows the connection's status from this browser.
function showSeen(card, conn) {
  showWay(card, conn);
  if (conn.seen === "online") setBadge(card, "online");
  else if (conn.seen === "unauthorized") setBadge(card, "unauthorized", "API key is invalid or expired", `run \`ace connect --server ${conn.server}\``);
  else setBadge(card, conn.seen, card.querySelector("[data-way]") ? "" : conn.why); // which says why, too
}

/** Says how this browser reaches a server, once known. */
export function showWay(card, conn) {
  if (conn.way) setText(card, "[data-way]", conn.way === "direct" ? "This browser calls it directly." : `Through the relay. ${conn.why}`.trim());
}

function signedOut() {
  if (document.querySelector("[data-signed-out]")) return;
  const line = document.createElement("p");
  const link = document.createElement("a");
  line.className = "error";
  line.dataset.signedOut = "";
  line.setAttribute("role", "status");
  link.href = location.pathname;
  link.textContent = "Sign in again";
  line.append("You are signed out. ", link);
  document.querySelector("main").prepend(line);
}

// setText changes only what differs: a screen reader speaks of every change.
function setText(card, selector, text) {
  const line = card.querySelector(selector);
  if (line && line.textContent !== text) line.textContent = text;
}

function setBadge(card, status, cause = "", hint = "") {
  const badge = card.querySelector("[data-badge]");
  setText(card, "[data-badge]", status);
  if (badge) badge.className = `badge ${status}`;
  const line = card.querySelector("[data-cause]");
  if (line) setHint(line, cause, hint);
}

/** Writes a cause and what fixes it. Hints mark commands with backticks. */
export function setHint(line, cause, hint = "") {
  const pieces = hint.split("`");
  if (line.textContent === cause + (cause && hint ? ": " : "") + pieces.join("")) return;
  line.replaceChildren(cause, cause && hint ? ": " : "");
  pieces.forEach((piece, i) => {
    if (i % 2 === 0) return line.append(piece);
    const code = document.createElement("code");
    code.textContent = piece;
    line.append(code);
  });
}
