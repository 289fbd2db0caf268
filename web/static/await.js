// "Add a server" notices by itself that the connection has appeared: it fetches the page again until it says so, or until the
// session has ended.
const soon = 3_000, later = 30_000; // ms between two checks: at first, and after a while
const long = 600_000; // ms
const box = document.querySelector("[data-await]");
const began = performance.now();

async function look() {
  if (!document.hidden) {
    const answer = await fetch(box.dataset.await).catch(() => null);
    if (answer?.redirected || answer?.status >= 400 && answer.status < 500) return; // signed out; a 5xx passes
    const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
    const found = page?.querySelector("[data-found]");
    if (found) return box.replaceChildren(document.importNode(found, true)); // a live region: it is read out
  }
  wait();
}

function wait() {
  setTimeout(look, performance.now() - began < long ? soon : later);
}

if (box && !box.querySelector("[data-found]")) wait();
