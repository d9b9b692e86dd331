// The page of a live machine. One socket; frames are drawn as they come, keys leave as they are pressed, and every key's receipts
// (queued, applied at frame n) are shown. `window.nc` has what was measured.
"use strict";

const $ = id => document.getElementById(id);
const KEYS = { Enter: "Return", Backspace: "BackSpace", ArrowUp: "Up", ArrowDown: "Down", ArrowLeft: "Left", ArrowRight: "Right",
  PageUp: "Prior", PageDown: "Next", Delete: "Delete", Insert: "Insert", Home: "Home", End: "End", Escape: "Escape", Tab: "Tab" };
const SHOWN = { Return: "⏎", BackSpace: "⌫", Up: "↑", Down: "↓", Left: "←", Right: "→", " ": "␣", Tab: "⇥", Escape: "esc" };
const BUTTONS = ["left", "middle", "right"];
const LINES = { terminal: [["12+7", "12+7"], ["17+20", "17+20"], ["20+22", "20+22"], ["date", "date"], ["hello", "hello"], ["clear", "clear"]] };
const TAPE = 64, KEPT = 50, AHEAD = 3;

const nc = window.nc = { session: null, header: null, latencies: [], drawn: [], welcome: null, wrong: 0 };
let socket, again = 0, next = 1, paused = false, chain = Promise.resolve(), lastError = null, ended = "";
const sent = new Map(), due = [], chips = new Map(), waitingFor = new Map();

// The socket

function connect() {
  const token = new URLSearchParams(location.search).get("token");
  socket = new WebSocket(`ws${location.protocol.slice(4)}//${location.host}/socket?token=${encodeURIComponent(token)}`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => send({ type: "hello", session: sessionStorage.session || "" });
  socket.onmessage = event => typeof event.data === "string" ? take(JSON.parse(event.data)) : show(event.data);
  socket.onclose = event => {
    for (const id of [...sent.keys()]) chip(id, "ignored");
    sent.clear(); due.length = 0;
    if (ended) return;
    if (event.code === 4001) return end("This session is open in another tab. Reload to take it back.");
    if (event.code === 4008) return end("All places at this machine are taken. Reload to try again.");
    status("reconnecting", "bad");
    notice(nc.session ? "The machine is away. Reconnecting …" : "The machine is starting …");
    setTimeout(connect, Math.min(3000, 300 * 1.5 ** again++));
  };
}

function send(message) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(message));
}

function end(text) {
  ended = text;
  notice(text);
  status("ended", "bad");
}

function take(message) {
  const kinds = { welcome, queued, applied, done, cancelled, rejected: m => { for (let n = 0; n < m.count; n++) lost(m.id + n); flash(m.error); },
    starting: m => status(m.error ? "failed" : `compiling, ${m.seconds} s`, m.error ? "bad" : ""),
    error: m => flash(m.error), full: m => end(m.error), asleep: () => { status("asleep"); notice("Asleep. Press a key to wake it."); },
    awake: () => { notice(""); running(); }, stopped: m => { notice(`Stopped: ${m.error}`); status("stopped", "bad"); } };
  (kinds[message.type] || (() => {}))(message);
}

function welcome(message) {
  again = 0;
  nc.welcome = message;
  nc.session = sessionStorage.session = message.session;
  paused = message.paused;
  const { machine, world, size } = message;
  const millions = machine.parameters / 1e6;
  $("which").textContent = `${machine.name} · ${millions.toFixed(millions < 10 ? 1 : 0)} M parameters · ${size[0]}×${size[1]} pixels`;
  $("version").textContent = `sha256 ${machine.version.slice(0, 16)}`;
  $("version").title = machine.version;
  document.title = `${machine.name} · neural computer`;
  document.body.classList.toggle("pointer", world.pointer);
  $("stage").classList.toggle("square", size[0] < 2 * size[1]);
  $("keys").inputMode = world.pointer && matchMedia("(pointer: coarse)").matches ? "none" : "text";
  $("keyboard").hidden = $("keys").inputMode === "text";
  $("hint").textContent = world.pointer ? "point, click and type" : "click and type";
  for (const canvas of document.querySelectorAll("canvas")) {
    const scale = canvas.className === "marks" ? 4 : 1;
    canvas.width = size[0] * scale, canvas.height = size[1] * scale;
  }
  $("beside").disabled = $("marked").disabled = !world.truth;
  $("sumbox").hidden = world.name !== "terminal";
  lines(LINES[world.name] || []);
  list(message.saved);
  layout();
  notice("");
  running();
  if ($("record").checked) control("record");
  if (document.activeElement === document.body) $("keys").focus({ preventScroll: true });
}

// Frames

function show(data) {
  const length = new DataView(data).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(data, 4, length)));
  const first = 4 + length, parts = [[$("screen"), first, header.screen], [$("truth"), first + header.screen, header.truth]];
  const images = parts.map(([canvas, at, size]) =>
    size ? createImageBitmap(new Blob([new Uint8Array(data, at, size)], { type: "image/png" })) : null);
  chain = chain.then(async () => {
    for (const [number, image] of images.entries()) if (image) {
      const bitmap = await image;
      parts[number][0].getContext("2d").drawImage(bitmap, 0, 0);
      bitmap.close();
    }
    drawn(header);
    send({ type: "ack", frame: header.sent });
  }).catch(error => flash(String(error)));
}

function drawn(header) {
  const now = performance.now();
  if (nc.header && header.frame < nc.header.frame) lastError = null;
  nc.header = header;
  nc.wrong = header.wrong.length;
  nc.drawn.push(now);
  if (nc.drawn.length > 4000) nc.drawn.splice(0, 2000);
  for (let n = due.length; n--;) if (due[n].frame <= header.frame) {
    for (const id of due[n].ids) {
      if (sent.has(id)) nc.latencies.push(now - sent.get(id));
      sent.delete(id);
      chip(id, "applied");
    }
    due.splice(n, 1);
  }
  if (nc.latencies.length > 4000) nc.latencies.splice(0, 2000);
  if (header.wrong.length) lastError = now;
  mark(header.wrong);
  meters(header);
}

function mark(cells) {
  const [height, width] = nc.welcome.world.cell;
  for (const canvas of document.querySelectorAll(".marks")) {
    const pen = canvas.getContext("2d");
    pen.clearRect(0, 0, canvas.width, canvas.height);
    if (!$("marked").checked) continue;
    pen.strokeStyle = "#ff3fa6", pen.fillStyle = "#ff3fa644", pen.lineWidth = 3;
    for (const [row, column] of cells) {
      const box = [column * width * 4 + 2, row * height * 4 + 2, width * 4 - 4, height * 4 - 4];
      pen.fillRect(...box), pen.strokeRect(...box);
    }
  }
}

function meters(header) {
  const { score } = header, put = (id, text) => { if ($(id).textContent !== text) $(id).textContent = text; };
  if (nc.welcome.world.truth) {
    put("exact", score.screens ? percent(score.right / score.screens) : "–");
    put("screens", `${score.right} of ${score.screens}`);
    put("differ", header.wrong.length ? `${header.wrong.length} ${header.wrong.length > 1 ? "cells differ" : "cell differs"}` : "the same screen");
    $("exact").classList.toggle("bad", header.wrong.length > 0);
    const frames = score.last_error < 0 ? header.frame : header.frame - score.last_error;
    put("since", clock(frames / nc.welcome.fps));
    put("error", score.last_error < 0 ? "no error yet" : `at frame ${score.last_error}`);
    put("sums", score.sums ? `${score.sums_right} of ${score.sums}` : "–");
    put("heldout", score.held_out ? `${score.held_out_right} of ${score.held_out} never trained on` : score.sums ? "none held out yet" : "try one");
  }
  const recent = nc.latencies.slice(-KEPT).sort((a, b) => a - b);
  if (recent.length) {
    put("latency", `${Math.round(recent[recent.length >> 1])} ms`);
    put("slowest", `p95 ${Math.round(recent[Math.ceil(.95 * recent.length) - 1])} ms`);
  }
  const now = performance.now(), second = nc.drawn.filter(time => time > now - 2000).length / 2;
  put("fps", paused ? "paused" : second.toFixed(1));
  put("late", `${header.late} late ${header.late === 1 ? "tick" : "ticks"}, step ${Math.round(header.work)} ms`);
  put("frame", String(header.frame));
  put("waiting", header.waiting ? `${header.waiting} ${header.waiting > 1 ? "keys wait" : "key waits"}` : "no key waits");
  put("recorded", header.recording ? `${header.recording} frames so far.` : "");
}

const percent = share => share === 1 ? "100 %" : `${Math.min(99.99, 100 * share).toFixed(share > .99 ? 2 : 1)} %`;
const clock = seconds => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

// Keys, pasted text, the mouse

function act(events, labels) {
  if (ended || !nc.welcome) return;
  const id = next, now = performance.now();
  next += events.length;
  for (let n = 0; n < events.length; n++) {
    if (events[n].kind === "move") continue;
    sent.set(id + n, now);
    if (labels[n]) label(id + n, labels[n]);
  }
  for (let first = 0; first < events.length; first += nc.welcome.limits.events)
    send({ type: "events", id: id + first, events: events.slice(first, first + nc.welcome.limits.events) });
}

const press = key => ({ kind: "press", key }), release = key => ({ kind: "release", key });

function type(names) {
  const known = names.filter(key => key.length > 1 || (key >= " " && key <= "~"));
  for (const key of names) if (!known.includes(key)) chip(label(next++, key), "ignored");
  if (!nc.welcome.world.pointer) return act(known.map(press), known.map(key => SHOWN[key] || key));
  act(known.flatMap(key => [press(key), release(key)]), known.flatMap(key => [SHOWN[key] || key, ""]));
}

function label(id, text) {
  const item = document.createElement("li");
  item.textContent = text;
  $("tape").append(item);
  chips.set(id, item);
  while ($("tape").children.length > TAPE) $("tape").firstChild.remove();
  if (chips.size > 4 * TAPE) for (const old of [...chips.keys()].slice(0, TAPE)) chips.delete(old);
  return id;
}

function chip(id, state) { if (chips.has(id)) chips.get(id).className = state; }
function lost(id) { sent.delete(id); chip(id, "ignored"); }
function queued(message) { for (const each of message.ignored) { lost(each.id); if (chips.has(each.id)) chips.get(each.id).title = each.reason; } }
function applied(message) { due.push(message); }
function cancelled(message) { message.ids.forEach(lost); }

$("keys").addEventListener("keydown", event => {
  const { key } = event, pointer = nc.welcome && nc.welcome.world.pointer;
  if (event.altKey || event.metaKey || event.isComposing || key === "Unidentified" || key === "Process" || /^F\d/.test(key)) return;
  if (!pointer && (key === "Tab" || key === "Escape")) { if (key === "Escape") $("keys").blur(); return; }
  if (event.ctrlKey) {
    if (!pointer || key.length > 1 || "vVrRwWtT".includes(key)) return;
    event.preventDefault();
    return act([press("Control_L"), press(key), release(key), release("Control_L")], [`^${key}`, "", "", ""]);
  }
  const name = KEYS[key] || (key.length === 1 ? key : "");
  if (!name) return;
  event.preventDefault();
  // A key that is held waits for the screen: else it would go on long after it is released.
  if (event.repeat && sent.size > AHEAD) return;
  type([name]);
});
$("keys").addEventListener("input", event => {  // keyboards on glass, and what composes characters
  const text = $("keys").value;
  $("keys").value = "";
  if (event.inputType === "deleteContentBackward") type(["BackSpace"]);
  else if (event.inputType === "insertLineBreak") type(["Return"]);
  else if (event.inputType !== "insertFromPaste") type(names(text));
});
$("keys").addEventListener("paste", event => {
  event.preventDefault();
  type(names(event.clipboardData.getData("text")));
});
const names = text => [...text.replace(/\r\n?/g, "\n")].map(c => c === "\n" ? "Return" : c === "\t" ? " " : c);

let moved = null;
function place(event) {
  const box = $("screen").getBoundingClientRect(), [width, height] = nc.welcome.size;
  const inside = (value, side) => Math.max(0, Math.min(side - 1 / 64, value));
  return { kind: "move", x: inside((event.clientX - box.left) / box.width * width, width),
    y: inside((event.clientY - box.top) / box.height * height, height) };
}
function flush() { if (moved) act([moved], [""]); moved = null; }
function mouse(name, handler) {
  $("keys").addEventListener(name, event => {
    if (!nc.welcome || !nc.welcome.world.pointer) return;
    if (name !== "pointermove") event.preventDefault();
    handler(event);
  }, { passive: false });
}
mouse("pointermove", event => { if (!moved) setTimeout(flush, 1000 / nc.welcome.fps); moved = place(event); });
mouse("pointerdown", event => {
  $("keys").focus({ preventScroll: true });
  $("keys").setPointerCapture(event.pointerId);
  moved = null;
  act([place(event), press(BUTTONS[event.button] || "left")], ["", "click"]);
});
mouse("pointerup", event => { moved = null; act([place(event), release(BUTTONS[event.button] || "left")], ["", ""]); });
mouse("wheel", event => {
  const sideways = Math.abs(event.deltaX) > Math.abs(event.deltaY), by = Math.sign(sideways ? event.deltaX : event.deltaY);
  if (by) act([{ kind: "scroll", dx: sideways ? by : 0, dy: sideways ? 0 : by }], ["wheel"]);
});
mouse("contextmenu", () => {});

// Controls

function control(what, fields = {}, then = () => {}) {
  waitingFor.set(next, then);
  send({ type: "control", id: next++, do: what, ...fields });
}

function done(message) {
  paused = message.paused;
  if (message.saved) list(message.saved, message.name);
  if (["reset", "open", "back"].includes(message.do)) { notice(""); lastError = null; }
  running();
  (waitingFor.get(message.id) || (() => {}))(message);
  waitingFor.delete(message.id);
}

function running() {
  status(paused ? "paused" : "live", paused ? "" : "live");
  $("pause").textContent = paused ? "go on" : "pause";
  $("pause").classList.toggle("on", paused);
}

function status(text, kind = "") { $("status").textContent = text; $("status").className = `pill ${kind}`; }
function notice(text) { $("notice").textContent = text; $("notice").hidden = !text; }
let fading;
function flash(text) { notice(text); clearTimeout(fading); fading = setTimeout(() => notice(""), 4000); }

function list(names, chosen) {
  $("saved").replaceChildren(...names.map(name => new Option(name, name, false, name === chosen)));
  $("saved").disabled = $("open").disabled = !names.length;
  if (!names.length) $("saved").append(new Option("none saved"));
}

function lines(all) {
  const group = $("try");
  for (const old of group.querySelectorAll("button")) old.remove();
  group.hidden = !all.length;
  for (const [text, keys] of all) {
    const button = document.createElement("button"), code = document.createElement("code");
    code.textContent = text;
    button.append(code);
    button.onclick = () => type([...keys, "Return"]);
    group.append(button);
  }
}

function layout() {
  const truth = nc.welcome && nc.welcome.world.truth && $("beside").checked;
  $("true").hidden = !truth;
  $("stage").classList.toggle("two", Boolean(truth));
  if (nc.header) mark(nc.header.wrong);
}

$("pause").onclick = () => control(paused ? "resume" : "pause");
$("step").onclick = () => control("step", { frames: 1 });
$("reset").onclick = () => control("reset");
for (const button of document.querySelectorAll(".back")) button.onclick = () => control("back", { frames: Number(button.dataset.frames) });
$("save").onclick = () => control("save", { name: $("name").value || `session ${new Date().toISOString().slice(0, 16).replace(/[T:]/g, "-")}` });
$("open").onclick = () => control("open", { name: $("saved").value });
$("record").onchange = () => control($("record").checked ? "record" : "stop_recording", {}, message => {
  if (!message.recording && message.frames) flash(`${message.frames} frames recorded.`);
});
$("beside").onchange = $("marked").onchange = layout;
$("keyboard").onclick = () => { $("keys").inputMode = "text"; $("keys").blur(); $("keys").focus(); };
$("theme").onclick = () => {
  const dark = (document.documentElement.dataset.theme || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
  document.documentElement.dataset.theme = localStorage.theme = dark ? "light" : "dark";
};
if (localStorage.theme) document.documentElement.dataset.theme = localStorage.theme;
document.addEventListener("keydown", event => {
  const target = { p: $("pause"), s: $("step"), b: document.querySelector(".back"), r: $("reset") }[event.key.toLowerCase()];
  if (event.altKey && !event.ctrlKey && target) { event.preventDefault(); target.click(); }
});

connect();
