// The dashboard's own script: live badges, "try it" and copy buttons. Everything else works without it.

// credential fetches what to call a connection's server with; it lives five minutes and is not kept.
async function credential(id) {
  const answer = await fetch(`/v1/connections/${encodeURIComponent(id)}/credential`, { method: "POST" });
  const body = await answer.json();
  if (!answer.ok) throw new Error([body.detail, body.hint].filter(Boolean).join(" "));
  return body;
}

// explain says in one line why a browser could not call a server. The browser tells scripts nothing of the reason, so
// this names what can be known from the two addresses.
function explain(server) {
  const url = new URL(server);
  if (location.protocol === "https:" && url.protocol === "http:" && !["localhost", "127.0.0.1", "[::1]"].includes(url.hostname)) {
    return "This page is https and the server is http: browsers block that (mixed content).";
  }
  if (!navigator.onLine) return "This browser is offline.";
  return "The browser could not reach the server: it does not run, the network blocks it, it does not allow this dashboard's "
    + "origin (ACE_ALLOWED_ORIGINS), or access to the local network was refused.";
}

async function call(card, path) {
  const { id, server } = { id: card.dataset.connection, server: card.dataset.server };
  const cred = await credential(id);
  if (!path.startsWith("/")) path = "/" + path;
  const started = performance.now();
  let answer;
  try {
    answer = await fetch(cred.server_url + path, {
      headers: { [cred.header]: cred.value }, credentials: "omit", redirect: "error", cache: "no-store",
      signal: AbortSignal.timeout(10_000),
    });
  } catch {
    throw new Error(explain(server));
  }
  const text = await answer.text();
  return { answer, text, took: Math.round(performance.now() - started) };
}

function pretty(text) {
  try { return JSON.stringify(JSON.parse(text), null, 2); } catch { return text; }
}

function setBadge(card, status, cause) {
  const badge = card.querySelector("[data-badge]");
  badge.textContent = status;
  badge.className = `badge ${status}`;
  card.querySelector("[data-cause]").textContent = cause ?? "";
}

// Where the cloud cannot tell how a server is, this browser may stand nearer to it.
async function probe(card) {
  try {
    const { answer } = await call(card, "/ace/v1/me");
    if (answer.ok) setBadge(card, "online");
    else if (answer.status === 401) setBadge(card, "unauthorized", "API key is invalid or expired");
  } catch { /* the cloud's own word stands */ }
}

async function refresh() {
  if (document.hidden) return;
  const answer = await fetch("/v1/connections?limit=500").catch(() => null);
  if (!answer?.ok) return;
  for (const item of (await answer.json()).items) {
    const card = document.querySelector(`[data-connection="${CSS.escape(item.id)}"]`);
    if (!card) continue;
    if (item.status !== "unknown") setBadge(card, item.status, [item.cause, item.hint].filter(Boolean).join(" — "));
    else if (card.dataset.key === "ace") await probe(card);
  }
}

for (const form of document.querySelectorAll("[data-try]")) {
  const card = form.closest("[data-connection]");
  const out = card.querySelector("[data-answer]");
  const line = card.querySelector("[data-explain]");
  const run = async () => {
    const button = form.querySelector("button");
    button.disabled = true;
    try {
      const { answer, text, took } = await call(card, form.elements.path.value);
      line.textContent = `${answer.status} ${answer.statusText} in ${took} ms`;
      out.textContent = pretty(text);
      out.hidden = false;
    } catch (error) {
      line.textContent = error.message;
      out.hidden = true;
    } finally {
      button.disabled = false;
    }
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  if (card.dataset.key === "ace" && card.querySelector(".try").open) run();
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
