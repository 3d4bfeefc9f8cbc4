// Pages that keep themselves up to date. Without this file every page works by reloading it.
"use strict";

/** The same page as the server would show it now, or null while the server cannot be asked. */
async function fetchPage() {
  try {
    // the header says that nobody asked: such requests do not prolong the session
    const answer = await fetch(location.href, { headers: { Accept: "text/html", "Berth-Refresh": "1" }, redirect: "error" });
    if (!answer.ok) return null;
    return new DOMParser().parseFromString(await answer.text(), "text/html");
  } catch {
    return null;
  }
}

/** Put the new content of the element in place of the old, keeping open what a person has opened. */
function renew(element, page) {
  const fresh = page.getElementById(element.id);
  if (!fresh || fresh.innerHTML === element.dataset.last) return;
  const open = [...element.querySelectorAll("details")].map((one) => one.open);
  const scrolled = [...element.querySelectorAll("pre")].map((one) => one.scrollTop);
  element.innerHTML = element.dataset.last = fresh.innerHTML;
  element.querySelectorAll("details").forEach((one, index) => { one.open = open[index] ?? one.open; });
  element.querySelectorAll("pre").forEach((one, index) => { one.scrollTop = scrolled[index] ?? 0; });
  document.title = page.title;
}

function isInUse(element) {
  const selected = getSelection();
  return document.hidden || element.contains(document.activeElement) || (selected && !selected.isCollapsed && element.contains(selected.anchorNode));
}

/** Again and again, as often as the page itself says. */
async function keepFresh(element) {
  for (;;) {
    await pause(Number(element.dataset.refresh) * 1000);
    if (isInUse(element)) continue;
    const page = await fetchPage();
    if (!page || isInUse(element)) continue;
    renew(element, page);
    element.dataset.refresh = page.getElementById(element.id)?.dataset.refresh ?? element.dataset.refresh;
  }
}

function pause(milliseconds) {
  return new Promise((resolve) => { setTimeout(resolve, milliseconds); });
}

// ---------------------------------------------------------------- the log of a deployment

const ENDED = ["live", "retired", "failed", "cancelled", "superseded"];
const MOST_LINES = 5000;
// as bot/deploy/log_files.py: colours stay; other escape sequences, control characters and marks that turn text round go
const CONTROLS = /(\x1b\[[0-9;:]{0,64}m)|\x1b\[[0-?]{0,64}[ -/]{0,8}[@-~]|\x1b[\]PX^_][^\x07\x1b]{0,4096}(?:\x07|\x1b\\)|\x1b[ -/]{0,8}[0-~]?|[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]/g;
const STYLES = { 1: ["b"], 2: ["d"], 3: ["i"], 4: ["u"] };
const OFF = { 22: ["b", "d"], 23: ["i"], 24: ["u"] };
const COLOURS = ["c1", "c2", "c3", "c4", "c5", "c6"];

/** Objects of an NDJSON stream as they come. */
async function* readLines(url) {
  const answer = await fetch(url, { redirect: "error" });
  if (!answer.ok) throw new Error(String(answer.status));
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const lines = (rest + value).split("\n");
    rest = lines.pop();
    for (const line of lines) if (line) yield JSON.parse(line);
  }
}

/** Objects of a WebSocket as they come. Throws "refused" where none opens, "over" where the reader may read no longer. */
async function* readSocket(url) {
  const socket = new WebSocket(url);
  const waiting = [];
  let opened = false, closed = 0, wake = () => {};
  socket.onopen = () => { opened = true; };
  socket.onmessage = (message) => { waiting.push(JSON.parse(message.data)); wake(); };
  socket.onclose = (event) => { closed = event.code; wake(); };
  try {
    for (;;) {
      while (waiting.length) yield waiting.shift();
      if (closed && !opened) throw new Error("refused");
      if (closed === 1008) throw new Error("over");
      if (closed) return;
      await new Promise((resolve) => { wake = resolve; });
    }
  } finally {
    socket.close();
  }
}

/** The classes after a colour's escape sequence; as bot/web/ansi.py. */
function restyle(active, parameters) {
  const codes = parameters.split(/[;:]/).map((part) => Number(part) || 0);
  while (codes.length) {
    const code = codes.shift();
    let colour = -1;
    if (code === 0) active.clear();
    else if (STYLES[code]) STYLES[code].forEach((one) => active.add(one));
    else if (OFF[code]) OFF[code].forEach((one) => active.delete(one));
    else if (code === 38 || code === 48) {
      const found = extended(codes);
      if (code === 38) colour = found;
    } else if (code === 39) colour = 0;
    else if ((code >= 30 && code <= 37) || (code >= 90 && code <= 97)) colour = code % 10;
    if (colour >= 0) {
      COLOURS.forEach((one) => active.delete(one));
      if (colour >= 1 && colour <= 6) active.add(`c${colour}`);
    }
  }
}

function extended(codes) {
  const kind = codes.shift();
  if (kind === 5) {
    const number = codes.shift() ?? 0;
    if (number < 16) return number % 8;
    if (number > 231) return 0;
    return nearest(Math.floor((number - 16) / 36), Math.floor((number - 16) / 6) % 6, (number - 16) % 6);
  }
  return kind === 2 ? nearest(...codes.splice(0, 3)) : 0;
}

function nearest(red, green, blue) {
  const most = Math.max(red, green, blue);
  if (!(most - Math.min(red, green, blue) > most * 0.2)) return 0;
  return (red > most * 0.6) + 2 * (green > most * 0.6) + 4 * (blue > most * 0.6);
}

/** A line of the log as an element. */
function lineElement(text, kind) {
  const line = document.createElement("span");
  if (kind !== "line") line.className = `l-${kind}`;
  const active = new Set();
  text.replace(/\r+$/, "").replace(/^.*\r/, "").replace(CONTROLS, (_, colour) => colour ?? "").split(/\x1b\[([0-9;:]*)m/).forEach((piece, index) => {
    if (index % 2) restyle(active, piece);
    else if (piece && active.size) {
      const part = document.createElement("span");
      part.className = [...active].join(" ");
      part.textContent = piece;
      line.append(part);
    } else line.append(piece);
  });
  line.append("\n");
  return line;
}

function words({ kind, step, text, phase }) {
  if (kind === "phase") return `── ${phase}`;
  if (kind !== "step") return text;
  if (text === "started") return step;
  return text === "cached" ? `${step} (cached)` : `${step} ${text}`;
}

async function followLog(log, ...others) {
  const label = document.querySelector(".follow");
  const wanted = document.getElementById("follow");
  label.hidden = false;
  document.getElementById("reload").hidden = true;
  log.addEventListener("scroll", () => {
    if (log.scrollHeight - log.scrollTop - log.clientHeight > 150) wanted.checked = false;
  });
  wanted.addEventListener("change", () => { if (wanted.checked) log.scrollTop = log.scrollHeight; });
  let offset = Number(log.dataset.offset);
  let stale = false, drawing = false, useSocket = true;
  const coming = [];
  const draw = () => {
    drawing = false;
    log.append(...coming.splice(0).map(([text, kind]) => lineElement(text, kind)));
    while (log.childNodes.length > MOST_LINES) log.firstChild.remove();
    if (wanted.checked) log.scrollTop = log.scrollHeight;
  };
  const show = (text, kind) => {
    coming.push([text, kind]);
    if (coming.length > MOST_LINES) coming.shift();
    if (!drawing) setTimeout(draw, document.hidden ? 500 : 16);
    drawing = true;
  };
  const socketUrl = new URL(log.dataset.socket, location.href);
  socketUrl.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  (async () => {
    for (;;) {
      await pause(700);
      if (!stale || document.hidden) continue;
      stale = false;
      const page = await fetchPage();
      if (page) others.forEach((one) => renew(one, page));
    }
  })();
  for (;;) {
    try {
      const query = `?offset=${offset}`;
      for await (const event of useSocket ? readSocket(socketUrl + query) : readLines(log.dataset.stream + query)) {
        if (event.kind !== "state" || event.text) show(words(event), event.kind);
        if (event.kind !== "line") stale = true;
        if (event.next_offset != null) offset = event.next_offset;
        if (event.kind === "state" && ENDED.includes(event.state)) {
          label.hidden = true;
          stale = true;
          return;
        }
      }
    } catch (error) {
      // the server restarts, or the machine slept: the stream goes on where it ended
      if (error.message === "over") return;
      if (error.message === "refused") useSocket = !useSocket;
    }
    await pause(useSocket ? 1000 : 200);
  }
}

const notice = document.getElementById("notice");
if (notice) {  // said once, not again when the page is reloaded
  const here = new URL(location.href);
  here.searchParams.delete("notice");
  history.replaceState(null, "", here);
}
const main = document.getElementById("main");
if (main.dataset.refresh) keepFresh(main);
const log = document.getElementById("lines");
if (log) {
  log.scrollTop = log.scrollHeight;
  if (log.dataset.stream) followLog(log, document.getElementById("summary"), document.getElementById("details"));
}
