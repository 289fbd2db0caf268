// Shows a server's answer. All of it is treated as hostile: nothing becomes markup, and everything has a bound.

import { parseEvents } from "./ace.js";

const maxShown = 256 * 1024; // characters of a text
const maxRead = 32 * 1024 * 1024; // bytes of a body
const maxTokens = 20_000, maxPainted = 4_000, maxDepth = 30; // of a JSON text that is laid out
const maxEvents = 200, maxEventShown = 4_096; // events on the page, characters of one
const paintEvery = 200; // ms

const textual = /^(text\/|application\/(.+\+)?(json|xml|yaml|javascript|x-ndjson|graphql|x-www-form-urlencoded|problem\+json)\b)/;

/**
 * Shows an answer in a box as it comes, until it ends, the bounds are reached or the signal fires.
 * @param {HTMLElement} box @param {Response} answer @param {string} name of the file when it is saved @param {AbortSignal} signal
 * @param {(text: string) => void} progress is told how far it is
 */
export async function showAnswer(box, answer, name, signal, progress) {
  for (const link of box.querySelectorAll("a[download]")) URL.revokeObjectURL(link.href);
  const type = (answer.headers.get("Content-Type") ?? "").toLowerCase();
  if (answer.body && type.startsWith("text/event-stream")) return showEvents(box, answer.body, signal, progress);
  return showBody(box, answer.body, type, name, progress);
}

async function showBody(box, body, type, name, progress) {
  const pre = element("pre", "answer");
  pre.tabIndex = 0;
  const chunks = [];
  const decoder = new TextDecoder();
  let size = 0, text = "", ended = "", isText = textual.test(type), painted = 0;
  const reader = body?.getReader();
  try {
    while (reader && size < maxRead) {
      const { done, value } = await reader.read();
      if (done) break;
      if (size === 0 && type === "") isText = !value.subarray(0, 1024).includes(0);
      chunks.push(value);
      size += value.length;
      if (isText && text.length < maxShown) text += decoder.decode(value, { stream: true });
      if (performance.now() - painted < paintEvery) continue;
      painted = performance.now();
      progress(`${bytes(size)} so far`);
      if (isText && text.length < maxShown) box.replaceChildren(pre), pre.textContent = text;
    }
    if (size >= maxRead) ended = `It is longer than ${bytes(maxRead)}, and was cut there.`;
  } catch (error) {
    ended = error.name === "AbortError" ? "You stopped it." : "It broke off.";
  }
  reader?.cancel().catch(() => {});
  const cut = text.length > maxShown;
  if (size === 0) box.replaceChildren(element("p", "hint", "The answer has no body."));
  else if (isText) {
    pre.replaceChildren(layOut(text.slice(0, maxShown), type, cut), cut ? "\n… (cut here)" : "");
    box.replaceChildren(pre);
  } else box.replaceChildren(element("p", "hint", `${type.split(";")[0] || "Something"} of ${bytes(size)}, which is not shown.`));
  if (size > 0 && (cut || !isText)) box.append(download(chunks, name));
  if (ended) box.append(element("p", "hint", ended));
  return { size, ended };
}

// download is a link to a body. It is saved and never opened: a server's page would run in this origin.
function download(chunks, name) {
  const link = element("a", "button", "Save it");
  link.href = URL.createObjectURL(new Blob(chunks, { type: "application/octet-stream" }));
  link.download = name;
  return link;
}

async function showEvents(box, body, signal, progress) {
  const list = element("ol", "events");
  list.tabIndex = 0; // it scrolls
  box.replaceChildren(list);
  let count = 0, waiting = [], painting, ended = "The server ended the stream.";
  const paint = () => {
    painting = undefined;
    const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 8;
    list.append(...waiting);
    waiting = [];
    while (list.childElementCount > maxEvents) list.firstElementChild.remove();
    if (atEnd) list.scrollTop = list.scrollHeight;
    progress(`${count} ${count === 1 ? "event" : "events"}`);
  };
  progress("the stream is open");
  try {
    for await (const { event, data, id } of parseEvents(body)) {
      signal.throwIfAborted(); // the data received before may hold many more events
      const item = element("li", "");
      item.append(element("span", "meta", [`${++count}`, event !== "message" && event, id && `id ${id}`, new Date().toLocaleTimeString()].filter(Boolean).join(" · ").slice(0, 200)));
      const pre = element("pre", "");
      pre.append(layOut(data.slice(0, maxEventShown), "", data.length > maxEventShown), data.length > maxEventShown ? " … (cut here)" : "");
      item.append(pre);
      waiting.push(item);
      painting ??= new Promise((resolve) => { setTimeout(() => resolve(paint()), paintEvery); });
      if (waiting.length >= maxEvents) await painting; // a flood waits in the network, and the page stays usable
    }
  } catch (error) {
    ended = error.name === "AbortError" ? "You stopped it." : `The stream broke off. ${error.code ? error.message : ""}`;
  }
  await painting;
  paint();
  box.append(element("p", "hint", ended + (count > maxEvents ? ` The last ${maxEvents} of ${count} events are shown.` : "")));
  return { count, ended };
}

// layOut indents and colours a JSON text, and leaves any other unchanged. It works on the text itself, so numbers too large for
// JavaScript, duplicate names and __proto__ are kept.
function layOut(text, type, cut) {
  const out = document.createDocumentFragment();
  const json = /[/+]json\b/.test(type) || !cut && isJSON(text);
  if (!json) {
    out.append(text);
    return out;
  }
  const token = /\s*(?:([{[])|([}\]])|([,:])|("[^"\\]*(?:\\.[^"\\]*)*")|([^\s{}[\],:"]+))/y;
  let depth = 0, plain = "", spans = 0, end = 0, opened = false;
  const line = () => `\n${"  ".repeat(Math.max(0, Math.min(depth, maxDepth)))}`;
  const paint = (className, piece) => {
    if (spans++ >= maxPainted) return plain += piece;
    out.append(plain, element("span", className, piece));
    plain = "";
  };
  for (let n = 0; n < maxTokens; n++) {
    const found = token.exec(text);
    if (!found) break;
    const [, open, close, mark, string, word] = found;
    end = token.lastIndex;
    if (close) depth--;
    if (close ? !opened : opened) plain += line();
    opened = Boolean(open);
    if (open) depth++;
    if (open || close) plain += open ?? close;
    else if (mark) plain += mark === ":" ? ": " : mark + line();
    else if (string) paint(/^\s*:/.test(text.slice(end, end + 64)) ? "json-name" : "json-string", string);
    else paint(/^[-\d]/.test(word) ? "json-number" : "json-word", word);
  }
  out.append(plain, text.slice(end));
  return out;
}

function isJSON(text) {
  if (!/^\s*[{["]/.test(text)) return false;
  try { JSON.parse(text); } catch { return false; }
  return true;
}

/** Bytes in words. */
export function bytes(n) {
  if (n < 1024) return `${n} bytes`;
  return n < 1024 * 1024 ? `${(n / 1024).toFixed(1)} KB` : `${(n / 1024 / 1024).toFixed(1)} MB`;
}

/** An element with a class and a text. */
export function element(name, className, text = "") {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.textContent = text;
  return made;
}
