// The explorer: a form that calls a server, and shows its answer. On a connection's card it has only a path.

import { bytes, element, showAnswer } from "./answer.js";
import { setHint, showWay } from "./live.js";

const maxPaths = 12; // recent paths that are suggested
const maxHeaders = 100;
const shownHeaders = ["content-type", "retry-after", "www-authenticate"]; // in the line about the answer
const plainId = /^[\w.][\w.-]{0,99}$/; // a request ID that is safe in a command: a server may send anything
const ofAce = ["authorization", "x-api-key", "x-ace-api-key", "x-ace-relay", "cookie"]; // headers that the caller may not set

/** Makes a form call a server. @param {(id: string) => Promise<import("./ace.js").Connection>} find @param {HTMLFormElement} form */
export function explore(find, form) {
  const root = form.closest("[data-explorer], [data-connection]");
  const id = root.dataset.explorer ?? root.dataset.connection;
  const part = (name) => root.querySelector(`[data-${name}]`);
  const line = part("explain"), box = part("answer"), stop = part("stop");
  let running;

  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    running?.abort();
    const control = running = new AbortController();
    if (stop) stop.hidden = false;
    try {
      await call(control.signal);
    } catch (error) {
      if (control !== running) return; // the next call has begun
      box.hidden = true;
      if (error.name === "AbortError") line.textContent = "You stopped it.";
      else setHint(line, error.message, error.hint);
    } finally {
      if (control === running && stop) {
        if (document.activeElement === stop) form.querySelector("button.primary").focus();
        stop.hidden = true;
      }
    }
  });
  stop?.addEventListener("click", () => running?.abort());
  root.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) form.requestSubmit();
    if (event.key === "Escape" && !stop?.hidden) running?.abort();
  });

  form.dataset.ready = "";

  async function call(signal) {
    const { path, init, left } = read(form);
    line.textContent = "Calling …";
    part("note")?.replaceChildren();
    const conn = await find(id);
    signal.throwIfAborted();
    const started = performance.now();
    const answer = await conn.fetch(path, { ...init, signal }).catch((error) => {
      if (conn.why && error.code && !error.message.startsWith(conn.why)) error.message = `${conn.why} Through the relay: ${error.message}`;
      throw error;
    });
    const took = Math.round(performance.now() - started);
    remember(id, path);
    suggest();
    showWay(root.closest("main").querySelector(`[data-connection="${CSS.escape(id)}"]`) ?? root, conn);
    const status = [`${answer.status} ${answer.statusText}`.trim(), `${took} ms`, conn.way === "direct" ? "directly" : "through the relay",
      ...shownHeaders.filter((name) => answer.headers.has(name)).map((name) => `${name}: ${answer.headers.get(name)}`)].join(" · ").slice(0, 400);
    const say = (more) => { line.textContent = `${status}${more ? ` · ${more}` : ""}${conn.way === "relay" ? `. ${conn.why}` : ""}`; };
    say();
    showFacts(answer, conn, left);
    box.hidden = false;
    const shown = await showAnswer(box, answer, (path.split(/[?#]/)[0].split("/").pop() || "answer").replace(/[^\w.-]/g, "_").slice(0, 80), signal, say);
    if (!signal.aborted) say(shown.size === undefined ? `${shown.count} events` : bytes(shown.size));
  }

  // showFacts shows where the answer came from and its headers, if the form has places for them.
  function showFacts(answer, conn, left) {
    const note = part("note"), list = part("headers");
    if (note) {
      const told = answer.headers.get("X-Ace-Relay-Request-Id") ?? answer.headers.get("X-Request-Id") ?? "";
      const id = plainId.test(told) ? told : "";
      const refused = answer.status === 401 || answer.status === 403;
      setHint(note, [left.length > 0 && `${left.join(", ")}: set by ace, so yours was left out.`, id && `Request ID ${id}`]
        .filter(Boolean).join(" "), refused && id ? `to see why it was refused, run \`ace why ${id} --server ${conn.server}\`` : "");
    }
    if (!list) return;
    list.replaceChildren(...[...answer.headers].slice(0, maxHeaders).flatMap(([name, value]) => [element("dt", "", name), element("dd", "", value.slice(0, 2_000))]));
    list.closest("details").hidden = list.childElementCount === 0;
  }

  // suggest offers recent paths along with the page's own.
  function suggest() {
    const list = form.elements.path.list;
    if (!list) return;
    const there = new Set([...list.options].map((option) => option.value));
    for (const path of recent(id)) if (!there.has(path)) list.append(Object.assign(document.createElement("option"), { value: path }));
  }
  suggest();

  // The command that does the same in a terminal. It holds no secret: the shell inserts one.
  const command = part("command");
  async function describe() {
    const conn = await find(id).catch(() => null);
    if (conn) command.textContent = curl(form, conn);
  }
  if (command) {
    form.addEventListener("input", describe);
    form.addEventListener("submit", describe);
    describe();
  }
}

// read reads a call from a form, or says what is wrong with it.
function read(form) {
  const { path, method, headers, body } = form.elements;
  const init = { method: method?.value ?? "GET", headers: new Headers() };
  const left = [];
  (headers?.value ?? "").split("\n").forEach((text, i) => {
    if (text.trim() === "") return;
    const [, name, value] = /^([^:\s]+)\s*:(.*)$/.exec(text.trim()) ?? [];
    try {
      if (ofAce.includes(name.toLowerCase())) left.push(name);
      else init.headers.append(name, value.trim());
    } catch {
      throw new Error(`Line ${i + 1} of the headers is not a header. It is written as Name: value.`);
    }
  });
  if (body?.value) {
    if (["GET", "HEAD"].includes(init.method)) throw new Error(`${init.method} takes no body. Choose another method, or empty the body.`);
    init.body = body.value;
    if (!init.headers.has("Content-Type")) init.headers.set("Content-Type", /^\s*[[{]/.test(body.value) ? "application/json" : "text/plain");
  }
  return { path: path.value.startsWith("/") ? path.value : `/${path.value}`, init, left };
}

const quote = (text) => `'${text.replaceAll("'", "'\\''")}'`;

function curl(form, conn) {
  let call;
  try { call = read(form); } catch { return ""; }
  const { path, init } = call;
  const direct = conn.way === "direct";
  const url = direct ? conn.server + path : `${location.origin}/v1/connections/${conn.id}/relay${path}`;
  const pieces = ["curl", init.method === "HEAD" ? "-I" : init.method === "GET" ? "" : `-X ${init.method}`,
    direct ? '-H "X-API-Key: $ACE_KEY"' : '-H "Authorization: Bearer $(ace auth token)"',
    ...[...init.headers].map(([name, value]) => `-H ${quote(`${name}: ${value}`)}`), init.body ? `--data-raw ${quote(init.body)}` : "", quote(url)];
  return pieces.filter(Boolean).join(" ");
}

const key = (id) => `ace-paths:${id}`;

// recent lists the paths called in this tab. Queries are not kept: people put secrets there.
function recent(id) {
  try {
    const paths = JSON.parse(sessionStorage.getItem(key(id)));
    return Array.isArray(paths) ? paths.map(String) : [];
  } catch {
    return [];
  }
}

function remember(id, path) {
  const plain = path.split(/[?#]/)[0];
  try {
    sessionStorage.setItem(key(id), JSON.stringify([plain, ...recent(id).filter((other) => other !== plain)].slice(0, maxPaths)));
  } catch { /* then they are not suggested */ }
}
