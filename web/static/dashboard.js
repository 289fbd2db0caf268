// The dashboard's own script. Pages work without it, except for live status and the explorer, whose modules it loads on pages
// that need them.

for (const button of document.querySelectorAll("[data-copy]")) {
  button.addEventListener("click", async () => {
    const source = document.getElementById(button.dataset.copy);
    try {
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
    } catch {
      source.select?.();
    }
  });
}

// A click before the modules are loaded is not lost.
const forms = document.querySelectorAll("[data-call], [data-try]");
const pressed = new Set();
for (const form of forms) {
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    pressed.add(form);
  });
}

if (document.querySelector("[data-connection]")) {
  const [{ Ace }, { follow }, { explore }] = await Promise.all([import("./ace.js"), import("./live.js"), import("./explorer.js")]);
  const ace = new Ace();
  const find = follow(ace);
  for (const form of forms) explore(find, form);
  if (pressed.size === 0) begin(ace);
  for (const form of pressed) form.requestSubmit();
}

// begin calls a server without a click: the connection's own in its explorer, the one that works on the list. A plain key is
// fetched only when somebody wants to call.
async function begin(ace) {
  const form = document.querySelector("[data-begin]") ?? await pick(ace);
  form?.closest("details")?.setAttribute("open", "");
  form?.requestSubmit();
}

async function pick(ace) {
  const forms = [...document.querySelectorAll('[data-key="ace"] [data-try]')];
  if (forms.length <= 1) return forms[0];
  const conn = await ace.connection().catch(() => null);
  return forms.find((form) => form.closest("[data-connection]").dataset.connection === conn?.id) ?? forms[0];
}
