// "Add a connection" notices by itself that the connection has appeared: it asks for the page again until that says so.
const every = 3_000;
const box = document.querySelector("[data-await]");

async function look() {
  if (!document.hidden) {
    const answer = await fetch(box.dataset.await).catch(() => null);
    const page = answer?.ok ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
    const found = page?.querySelector("[data-found]");
    if (found) return box.replaceChildren(document.importNode(found, true)); // a live region: it is read out
  }
  setTimeout(look, every);
}

if (box && !box.querySelector("[data-found]")) setTimeout(look, every);
