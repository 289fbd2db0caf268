/**
 * ace.js: how a page calls the servers that its user is connected to. No dependencies, no build.
 *
 *     import { Ace } from "/static/ace.js";
 *     const conn = await new Ace().connection();     // the one that works, or that the person chose last
 *     const answer = await conn.fetch("/whoami");    // like fetch: directly where the browser may, else through the relay
 *
 * Credentials live five minutes and lie in private fields only: no storage, URL, element or console ever sees one.
 */

const probeTime = 4_000, spare = 45_000; // ms: for a server to show that this page can call it; before its expiry a credential is renewed
const directFor = 300_000, relayFor = 60_000; // ms until the route is checked again, in the background
const maxEvent = 1 << 20, maxPages = 20, maxTried = 5; // characters of an event; pages of connections; connections to try
const ownHeaders = ["authorization", "x-api-key", "x-ace-api-key", "x-ace-relay"]; // a caller sets none of them
const loopback = /^(localhost|.+\.localhost|127(\.\d+){3}|\[::1\])$/;
const keyNotShown = { way: "relay", seen: "unknown", why: "Its API key is shown to nobody but its owner." };

/** What went wrong: `code` is stable, `message` says the cause, `hint` what fixes it, `requestId` which request it was. */
export class AceError extends Error {
  /** @param {string} code @param {string} message @param {{hint?: string, status?: number, requestId?: string, cause?: Error}} [more] */
  constructor(code, message, { hint = "", status = 0, requestId = "", cause } = {}) {
    super(message, { cause });
    Object.assign(this, { name: "AceError", code, hint, status, requestId });
  }
  /** Whether the same call may succeed a little later. */
  get temporary() { return this.code === "cloud_unreachable" || [429, 502, 503, 504].includes(this.status); }
  /** The error in an answer of the cloud (RFC 9457). @param {Response} answer @returns {Promise<AceError>} */
  static async of(answer) {
    const { code, detail, hint, request_id: requestId } = await answer.json().catch(() => null) ?? {};
    return new AceError(code ?? `http_${answer.status}`, detail ?? `The cloud answered ${answer.status}.`, { hint, requestId, status: answer.status });
  }
}

/** The page's browser storage, if the browser allows any. Nothing in it is secret. */
const kept = {
  read(storage, key) { try { return JSON.parse(globalThis[storage].getItem(key)); } catch { return null; } },
  write(storage, key, value) { try { globalThis[storage].setItem(key, JSON.stringify(value)); } catch { /* it is found out again */ } },
};

/** A promise that fails when a signal fires. */
const unlessAborted = (promise, signal) => !signal ? promise : new Promise((resolve, reject) => {
  if (signal.aborted) reject(signal.reason);
  signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  promise.then(resolve, reject);
});

/** The URL of a path below a base. No spelling of a path leads out of the base. */
function below(base, path) {
  const root = new URL(base).href.replace(/\/$/, ""), url = new URL(root + (path.startsWith("/") ? path : `/${path}`));
  if (!url.href.startsWith(`${root}/`)) throw new AceError("path_outside", `The path ${path} leads out of the server.`);
  return url.href;
}

/** A request with the caller's headers and ours. An invalid init throws here, before anything is sent. */
function request(url, init, ours, own) {
  const headers = new Headers(init.headers);
  ownHeaders.forEach((name) => headers.delete(name));
  Object.entries(ours).forEach(([name, value]) => headers.set(name, value));
  return new Request(url, { cache: "no-store", referrerPolicy: "no-referrer", ...init, ...own, headers });
}

/** Whether a call can be sent again, and is harmless if it arrives twice (RFC 9110 section 9.2.1). */
const repeatable = (init) => !(init.body instanceof ReadableStream)
  && (["GET", "HEAD", "OPTIONS"].includes((init.method ?? "GET").toUpperCase()) || new Headers(init.headers).has("Idempotency-Key"));

const probe = (url, init) => fetch(url, { credentials: "omit", cache: "no-store", redirect: "error", referrerPolicy: "no-referrer",
  signal: AbortSignal.timeout(probeTime), ...init });

const forbidden = new Set(); // origins that this page's policy forbids it to call
globalThis.document?.addEventListener("securitypolicyviolation", (event) => {
  if (event.effectiveDirective === "connect-src" && URL.canParse(event.blockedURI)) forbidden.add(new URL(event.blockedURI).origin);
});

/** Whether the browser's permission to call local networks is in the given state. */
async function localNetwork(state) {
  const names = ["local-network-access", "local-network", "loopback-network"]; // as browsers have called it over time
  return (await Promise.all(names.map((name) => navigator.permissions?.query({ name }).catch(() => null)))).some((asked) => asked?.state === state);
}

/** Why the browser could not call a server. Scripts get no reason, and no answer from a server without CORS headers. */
async function explain(server, error) {
  const url = new URL(server), local = loopback.test(url.hostname), late = error?.name === "TimeoutError";
  const because = (seen, why) => ({ server, way: "relay", seen, why });
  if (!navigator.onLine && !local) return because("unknown", "This browser is offline.");
  if (location.protocol === "https:" && url.protocol === "http:" && !local) {
    return because("unknown", "This page is https and the server is http: browsers block that (mixed content). Give the server https.");
  }
  if (late && await localNetwork("prompt")) return because("unknown", "This browser asks whether the page may call the local network, or the server is slow.");
  if (late) return because("offline", `The server did not answer this browser within ${probeTime / 1000} seconds.`);
  const up = await probe(`${server}/.well-known/ace-server`, { mode: "no-cors", redirect: "follow" }).catch(() => null);
  if (up) return because("unknown", `The server is up, but it redirects or does not let this page read its answers (CORS): start it with ACE_ALLOWED_ORIGINS=${location.origin}`);
  const denied = await localNetwork("denied"); // meanwhile, violations of the page's policy are reported
  if (forbidden.has(url.origin)) return because("unknown", `The policy of this page does not let it call ${url.origin} (connect-src).`);
  if (denied) return because("unknown", "This browser forbids the page the local network: allow it in the site's settings.");
  return because("offline", `The server is unreachable from this browser: is it running at ${server}?`);
}

/** Server-sent events from a body (HTML standard, section 9.2.6): {event, data, id}. `state` keeps the last event's ID, and the
 *  ms until the next try. @param {ReadableStream<Uint8Array>} body */
export async function* parseEvents(body, state = { id: "", retry: 3_000 }) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "", event = "", data = [], size = 0, id = state.id, returned = false;
  try {
    for (let read = await reader.read(); !read.done; read = await reader.read()) {
      const lines = (returned ? read.value.replace(/^\n/, "") : read.value).split(/\r\n|\r|\n/);
      returned = read.value.endsWith("\r"); // its \n may come with the next piece
      lines[0] = rest + lines[0];
      rest = lines.pop();
      for (const line of lines) {
        const [, name, text = ""] = /^([^:]*)(?:: ?(.*))?$/s.exec(line);
        if (name === "data") data.push(text), size += text.length + 1;
        else if (name === "event") event = text;
        else if (name === "id" && !text.includes("\0")) id = text;
        else if (name === "retry" && /^\d{1,6}$/.test(text)) state.retry = Number(text);
        if (line !== "") continue;
        state.id = id;
        if (data.length > 0) yield { event: event || "message", data: data.join("\n"), id };
        event = "", data = [], size = 0;
      }
      if (size + rest.length > maxEvent) throw new AceError("event_too_large", "The server sent an event of more than a million characters.");
    }
  } finally {
    reader.cancel().catch(() => {});
  }
}

/** A connection to a server. Made by {@link Ace}. */
export class Connection {
  /** How this page calls the server, once known. @type {"direct" | "relay" | undefined} */ way;
  /** Why the page cannot call it directly, in one line. */ why = "";
  /** The status seen from this browser. @type {"online" | "offline" | "unauthorized" | "unknown"} */ seen = "unknown";
  /** The connection as in GET /v1/connections/{id}: id, name, server_url, status, owner, … */ info;
  #cloud; #through; #at; #until = 0; #deciding; #held; #asking; // #at: the server that the way leads to

  constructor(info, cloud) {
    [this.info, this.#cloud] = [info, cloud];
    this.#through = `${cloud.base}/v1/connections/${this.id}/relay`;
    const known = kept.read("sessionStorage", `ace-way:${this.id}`);
    if (known?.server === this.server && Date.now() < known.until) this.#settle(known, known.until);
  }

  get id() { return this.info.id; }
  /** The server's URL. */ get server() { return this.info.server_url; }

  /** Finds the way to the server, and keeps it for a while. @returns {Promise<"direct" | "relay">} */
  async ready() {
    if (this.#at === this.server && Date.now() < this.#until) return this.way;
    this.#deciding ??= this.#decide().finally(() => { this.#deciding = undefined; });
    this.#deciding.catch(() => {}); // callers that await it get the error
    return this.#at === this.server ? this.way : this.#deciding; // a known way is used meanwhile
  }

  /** Calls a path of the server, like fetch: an answer of the server's is returned whatever its status. What fails on the way
   *  is an {@link AceError}. Nothing that may have arrived is sent again, unless it is safe to or has an Idempotency-Key.
   *  @param {string} path @param {RequestInit} [init] @returns {Promise<Response>} */
  async fetch(path, init = {}) {
    if (await unlessAborted(this.ready(), init.signal) === "relay") return this.#relay(path, init);
    const send = async ({ header, value, server_url: server }) => {
      const call = request(below(server, path), init, { [header]: value },
        { mode: "cors", credentials: "omit", redirect: init.redirect === "error" ? "error" : "manual" });
      return fetch(call).catch((cause) => { throw init.signal?.aborted ? cause : new AceError("maybe_sent", "", { cause }); });
    };
    try {
      const before = this.#held, credential = await unlessAborted(this.#credential(), init.signal);
      let answer = await send(credential);
      if (answer.status === 401 && credential === before && !(init.body instanceof ReadableStream)) { // refused, so not executed
        answer.body?.cancel().catch(() => {});
        answer = await send(await this.#credential(credential));
      }
      if (answer.type !== "opaqueredirect" || init.redirect === "manual") return answer;
      if (!repeatable(init)) throw new AceError("redirected", "The server took the call, and redirects to where this page cannot follow.");
    } catch (error) {
      if (error.code !== "key_not_shown" && error.code !== "maybe_sent") throw error;
      this.#settle(error.code === "key_not_shown" ? keyNotShown : await explain(this.server, error.cause));
      error.message = `${this.why} The call may have arrived all the same: see whether it did before you send it again.`;
      if (error.code === "maybe_sent" && !repeatable(init)) throw error;
    }
    return this.#relay(path, init);
  }

  /** The server-sent events of a path, until the signal fires. When the stream ends it connects again, with the last event's ID.
   *  @param {string} path @param {{signal?: AbortSignal, headers?: HeadersInit, lastEventId?: string}} [options] */
  async *events(path, { signal, headers, lastEventId = "" } = {}) {
    const state = { id: lastEventId, retry: 3_000 };
    for (let failures = 0; !signal?.aborted; failures++) {
      try {
        const asked = new Headers(headers);
        asked.set("Accept", "text/event-stream");
        if (state.id) asked.set("Last-Event-ID", state.id);
        const answer = await this.fetch(path, { headers: asked, signal });
        if (answer.status === 204) return;
        if (!answer.ok || !/^text\/event-stream\b/i.test(answer.headers.get("Content-Type"))) {
          answer.body?.cancel().catch(() => {});
          throw new AceError("no_events", `Instead of sending events the server answered ${answer.status}.`, { status: answer.status });
        }
        for await (const event of parseEvents(answer.body, state)) if (signal?.aborted) return; else yield (failures = 0, event);
      } catch (error) {
        if (!signal?.aborted && error instanceof AceError && !error.temporary) throw error;
      }
      await unlessAborted(new Promise((resolve) => { setTimeout(resolve, Math.min(state.retry * 2 ** failures, 60_000)); }), signal).catch(() => {});
    }
  }

  /** A WebSocket to a path of the server, through the relay; only for pages of the cloud's origin. @param {string} path */
  websocket(path, protocols = []) { return new WebSocket(below(this.#through, path).replace(/^http/, "ws"), protocols); }

  async #relay(path, init) {
    const answer = await this.#cloud.send(below(this.#through, path), init);
    if (answer.type !== "opaqueredirect" && answer.headers.get("X-Ace-Relay") !== "server") throw await AceError.of(answer);
    return answer;
  }

  /** A credential for the current server that is valid for a while, and is not the one that was refused. */
  async #credential(refused) {
    if (this.#held && this.#held !== refused && this.#held.server_url === this.server && Date.now() < this.#held.until) return this.#held;
    this.#asking ??= this.#cloud.ask(`/v1/connections/${this.id}/credential`, "POST").then(([credential, now]) => {
      const life = credential.expires_at ? Date.parse(credential.expires_at) - now : directFor;
      this.info.server_url = credential.server_url; // the credential is for this server only
      return this.#held = { ...credential, until: Date.now() + life - spare };
    }).finally(() => { this.#asking = undefined; });
    return this.#asking;
  }

  async #decide(refused) {
    if (this.server.endsWith(".link.invalid")) return this.#settle({ way: "relay", seen: "unknown", why: "The server has no address of its own; calls go over its link." });
    const before = this.#held, credential = await this.#credential(refused).catch((error) => { if (error.code !== "key_not_shown") throw error; });
    if (!credential) return this.#settle(keyNotShown);
    const server = credential.server_url; // no other server gets the credential
    const answer = await probe(`${server}/ace/v1/me`, { headers: { [credential.header]: credential.value } }).catch((error) => error);
    if (answer instanceof Error) return this.#settle(await explain(server, answer));
    if (answer.status === 401 && credential === before) return this.#decide(credential); // expired by the server's clock?
    const ours = credential.type === "api_key" || answer.ok && (await answer.json().catch(() => null))?.key_id;
    return this.#settle(ours ? { server, way: "direct", seen: "online", why: "" } : { server, way: "relay", seen: answer.status === 401 ? "unauthorized" : "unknown",
      why: `What this browser finds at ${server} does not take the connection's credential: it answers ${answer.status}.` });
  }

  #settle({ server = this.server, way, seen, why }, until = Date.now() + (way === "direct" ? directFor : relayFor)) {
    kept.write("sessionStorage", `ace-way:${this.id}`, { server, way, seen, why, until });
    [this.#at, this.#until, this.seen, this.why] = [server, until, seen, why];
    return this.way = way;
  }
}

/** Whether a connection works, even if only this browser can tell. */
const works = async (conn) => conn.info.status === "online"
  || conn.info.status === "unknown" && Boolean(conn.info.key_id) && await conn.ready().catch(() => "") === "direct";

/** A cloud, and the user's connections there. */
export class Ace {
  #cloud; #known = new Map();

  /** @param {{cloud?: string, token?: () => Promise<string>}} [options] `cloud`: its URL, unless this module comes from there.
   *   `token`: gives the user's session token, for a page whose origin the cloud has in ACE_ALLOWED_ORIGINS; else a cookie counts. */
  constructor({ cloud = new URL(import.meta.url).origin, token } = {}) {
    const base = new URL(cloud).href.replace(/\/$/, "");
    const own = token ? { mode: "cors", credentials: "omit" } : { mode: "same-origin", credentials: "same-origin" };
    const send = async (url, init) => {
      const call = request(url, init, token ? { Authorization: `Bearer ${await token()}` } : { "X-Ace-Relay": "1" }, own);
      const hint = token ? `is ${location.origin} in its ACE_ALLOWED_ORIGINS?` : "";
      return fetch(call).catch((cause) => { throw init.signal?.aborted ? cause : new AceError("cloud_unreachable", "The cloud does not answer", { cause, hint }); });
    };
    const ask = async (path, method = "GET") => {
      const answer = await send(base + path, { method });
      if (!answer.ok) throw await AceError.of(answer);
      return [await answer.json(), Date.parse(answer.headers.get("Date")) || Date.now()];
    };
    this.#cloud = { base, send, ask };
  }

  /** All connections of the user. @returns {Promise<Connection[]>} */
  async connections() {
    const all = [];
    for (let page = 0, cursor = ""; page === 0 || cursor && page < maxPages; page++) {
      const [list] = await this.#cloud.ask(`/v1/connections?limit=500&cursor=${encodeURIComponent(cursor)}`);
      all.push(...list.items);
      cursor = list.next_cursor;
    }
    return all.map((info) => this.#one(info));
  }

  /** The connection with an ID, name or URL, which is remembered as the person's choice; without one, the last choice if it
   *  works, else the first that works, else any. @param {string} [which] @returns {Promise<Connection>} */
  async connection(which) {
    const all = /^[0-9a-f-]{36}$/.test(which) ? [this.#one((await this.#cloud.ask(`/v1/connections/${which}`))[0])]
      : (await this.connections()).filter(({ info }) => !info.owner_gone || info.visibility !== "private");
    const wanted = which ?? kept.read("localStorage", "ace-connection");
    const found = all.find(({ info }) => [info.id, info.name, info.server_url].includes(wanted));
    if (which === undefined ? all.length === 0 : !found) throw new AceError("not_found", "There is no such connection.", { hint: "run `ace connect`" });
    if (which !== undefined) kept.write("localStorage", "ace-connection", found.id);
    if (which !== undefined || found && await works(found)) return found;
    const online = all.find(({ info }) => info.status === "online");
    const tried = online ? [] : await Promise.all(all.slice(0, maxTried).map(works));
    return online ?? all[tried.indexOf(true)] ?? found ?? all[0];
  }

  #one(info) {
    if (!this.#known.has(info.id)) this.#known.set(info.id, new Connection(info, this.#cloud));
    return Object.assign(this.#known.get(info.id), { info }); // keeps the known way and credential
  }
}
