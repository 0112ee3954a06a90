// The page: reads the data, ties the parts together, listens.

const given = JSON.parse($("data").textContent);
const HUES = ["#3b78c9", "#e08a1e", "#2f9e77", "#c2559d", "#8a63c9", "#c94f3d", "#3aa3b8", "#9a8b1f", "#6d7f93", "#b5743f", "#5b9e3a", "#d06f86"];

const world = { nodes: [], edges: [], found: [], chosen: null, hovered: null, at: null, made: given.made, left: given.left };
world.kinds = given.types.map((name) => ({ name, count: 0, shown: true }));
given.nodes.forEach(([id, type, created, data], i) => {
  const kind = world.kinds[type];
  kind.count++;
  const called = [data.name, data.title, data.label].find((text) => typeof text === "string" && text.trim());
  world.nodes.push({ i, id, kind, type: kind.name, created, data, label: called && called.length < 60 ? called : id, deg: 0, seen: true, lit: true,
    text: (id + " " + kind.name + " " + JSON.stringify(data)).toLowerCase() });
});
const pairs = new Map();
for (const [s, rel, t, weight, created, from, until, source, data] of given.edges) {
  const e = { s, t, rel: given.relations[rel], weight, created, from, until, source, data, seen: true, now: true };
  const pair = s < t ? s + " " + t : t + " " + s, before = pairs.get(pair) || 0;
  pairs.set(pair, before + 1);
  // 0, then alternately to one side and the other; the side is one for both directions.
  e.lane = s === t ? before : Math.ceil(before / 2) * (before % 2 ? 1 : -1) * (s < t ? 1 : -1) || 0;
  world.edges.push(e);
  world.nodes[s].deg++; if (s !== t) world.nodes[t].deg++;
}
const order = [...world.kinds].sort((a, b) => b.count - a.count);
order.forEach((kind, rank) => { kind.tint = HUES[rank] || "hsl(" + Math.round(rank * 137.5) % 360 + " 38% 52%)"; });
world.kinds.sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
for (const p of world.nodes) { p.tint = p.kind.tint; p.r = 4.2 + Math.min(15, Math.sqrt(p.deg) * 1.5); }
world.ranked = [...world.nodes].sort((a, b) => b.deg - a.deg);
world.small = world.nodes.length <= 60;

world.focus = () => world.hovered || world.chosen;
world.near = () => {
  const focus = world.focus(), near = new Set();
  if (!focus) return near;
  if (focus.deg === undefined) return near.add(focus.s).add(focus.t);
  near.add(focus.i);
  for (const e of world.edges) if (e.seen) { if (e.s === focus.i) near.add(e.t); if (e.t === focus.i) near.add(e.s); }
  return near;
};

const canvas = $("stage"), painter = Painter(canvas, world), view = painter.view, layout = Layout(world.nodes, world.edges);
const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
let dirty = true, following = true, gliding = null;
const redraw = () => { dirty = true; };

// What is seen: types that are switched on, facts that hold at the time.
function refresh() {
  const at = world.at;
  let holding = 0;
  for (const p of world.nodes) { p.seen = p.kind.shown; p.lit = at === null || p.deg === 0; }
  for (const e of world.edges) {
    e.now = at === null || ((e.from === null || e.from <= at) && (e.until === null || at < e.until));
    const a = world.nodes[e.s], b = world.nodes[e.t];
    e.seen = e.now && a.seen && b.seen;
    if (e.now) { holding++; a.lit = b.lit = true; }
  }
  $("counts").textContent = many(world.nodes.length, "node") + ", " + (at === null ? many(world.edges.length, "edge") : many(holding, "fact") + " of " + world.edges.length.toLocaleString("en") + " hold");
  redraw();
}

function bounds() {
  let left = Infinity, right = -Infinity, top = Infinity, bottom = -Infinity;
  for (const p of world.nodes) {
    if (!p.seen) continue;
    left = Math.min(left, p.x - p.r); right = Math.max(right, p.x + p.r);
    top = Math.min(top, p.y - p.r); bottom = Math.max(bottom, p.y + p.r);
  }
  return left < right ? { left, right, top, bottom } : { left: -100, right: 100, top: -100, bottom: 100 };
}

// All of it, in the part of the screen that no panel covers.
function fit() {
  const box = bounds(), narrow = view.w <= 720, pad = narrow ? 24 : 40;
  const aside = narrow ? 0 : 292, above = narrow ? 100 : 0, below = $("time").hidden ? 0 : 56;
  const w = Math.max(80, view.w - aside - pad * 2), h = Math.max(80, view.h - above - below - pad * 2);
  const k = Math.min(w / (box.right - box.left), h / (box.bottom - box.top), 2.2);
  return { k, x: (box.left + box.right) / 2 - aside / 2 / k, y: (box.top + box.bottom) / 2 + (below - above) / 2 / k };
}

function glide(to) {
  following = false;
  if (still) { Object.assign(view, to); return redraw(); }
  const from = { x: view.x, y: view.y, k: view.k }, start = performance.now();
  gliding = (now) => {
    const t = Math.min(1, (now - start) / 350), ease = 1 - (1 - t) ** 3;
    view.k = from.k * (to.k / from.k) ** ease;
    view.x = from.x + (to.x - from.x) * ease; view.y = from.y + (to.y - from.y) * ease;
    if (t === 1) gliding = null;
  };
}

function zoom(by, x = view.w / 2, y = view.h / 2) {
  const [wx, wy] = painter.unproject(x, y);
  view.k = Math.max(0.02, Math.min(12, view.k * by));
  view.x = wx - (x - view.w / 2) / view.k; view.y = wy - (y - view.h / 2) / view.k;
  following = false; gliding = null;
  redraw();
}

const detail = Detail(world, choose);
function choose(what, go) {
  world.chosen = what; world.hovered = null;
  detail(what);
  if (what && go && what.deg !== undefined) {
    if (!what.seen) { what.kind.shown = true; refresh(); }
    // With what is around it, as far as that can be read.
    let reach = 60;
    for (const i of world.near()) reach = Math.max(reach, Math.hypot(world.nodes[i].x - what.x, world.nodes[i].y - what.y));
    const narrow = view.w <= 720, room = narrow ? Math.min(view.w, view.h * 0.54 - 150) * 0.42 : Math.min(view.w - 650, view.h - 160) * 0.45;
    const k = Math.max(0.7, Math.min(2.2, Math.max(room, 80) / reach));
    glide({ x: what.x + (narrow ? 0 : 30 / k), y: what.y + (narrow ? (view.h * 0.23 - 21) / k : 20 / k), k });
  }
  // The address names the node, so that it can be kept and shared.
  try { history.replaceState(null, "", what && what.deg !== undefined ? "#" + encodeURIComponent(what.id) : "#"); } catch { /* Some viewers have no address. */ }
  redraw();
}
function named() {
  let id = "";
  try { id = decodeURIComponent(location.hash.slice(1)); } catch { /* Not one of ours. */ }
  return world.nodes.find((p) => p.id === id);
}

// Pointers: one drags the paper or a node, two pinch.
const fingers = new Map();
let dragged = null, moved = 0, pinch = 0;
canvas.onpointerdown = (event) => {
  try { canvas.setPointerCapture(event.pointerId); } catch { /* A pointer that is gone cannot be held. */ }
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  moved = 0; gliding = null;
  const hit = painter.hit(event.clientX, event.clientY, event.pointerType === "touch");
  dragged = fingers.size === 1 && hit && hit.deg !== undefined ? hit : null;
  canvas.classList.add("held");
};
canvas.onpointermove = (event) => {
  const last = fingers.get(event.pointerId);
  if (!last) return hover(event);
  const dx = event.clientX - last[0], dy = event.clientY - last[1];
  fingers.set(event.pointerId, [event.clientX, event.clientY]);
  moved += Math.abs(dx) + Math.abs(dy);
  if (fingers.size === 2) {
    const [a, b] = [...fingers.values()], apart = Math.hypot(a[0] - b[0], a[1] - b[1]);
    if (pinch) zoom(apart / pinch, (a[0] + b[0]) / 2, (a[1] + b[1]) / 2);
    pinch = apart;
  }
  if (moved < 4) return;
  $("hint").hidden = true;
  if (dragged) {
    [dragged.x, dragged.y] = painter.unproject(event.clientX, event.clientY);
    dragged.held = true; following = false;
    layout.warm(0.12);
  } else if (fingers.size < 3) {
    view.x -= dx / view.k / fingers.size; view.y -= dy / view.k / fingers.size;
    following = false;
  }
  redraw();
};
canvas.onpointerup = canvas.onpointercancel = (event) => {
  fingers.delete(event.pointerId);
  pinch = 0;
  if (fingers.size) return;
  canvas.classList.remove("held");
  if (dragged) dragged.held = false;
  dragged = null;
  if (moved < 4 && event.type === "pointerup") choose(painter.hit(event.clientX, event.clientY, event.pointerType === "touch"), false);
};
canvas.onpointerleave = () => { if (!fingers.size) { world.hovered = null; $("hint").hidden = true; redraw(); } };
function hover(event) {
  if (event.pointerType === "touch") return;
  const hit = painter.hit(event.clientX, event.clientY, false), hint = $("hint");
  canvas.classList.toggle("over", Boolean(hit));
  hint.hidden = !hit;
  if (hit) {
    const node = hit.deg !== undefined;
    hint.replaceChildren(node ? hit.label : world.nodes[hit.s].label + " \u2192 " + world.nodes[hit.t].label, make("small", {}, node ? hit.type + ", " + many(hit.deg, "edge") : hit.rel));
    hint.style.left = Math.min(event.clientX + 14, view.w - hint.offsetWidth - 8) + "px";
    hint.style.top = Math.min(event.clientY + 16, view.h - hint.offsetHeight - 8) + "px";
  }
  const now = hit && hit.deg !== undefined ? hit : null;
  if (now !== world.hovered) { world.hovered = now; redraw(); }
}
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : event.deltaMode ? 0.05 : 0.0016)), event.clientX, event.clientY);
}, { passive: false });

function dark(on) { document.documentElement.dataset.theme = on ? "dark" : "light"; painter.theme(); redraw(); }
const system = matchMedia("(prefers-color-scheme: dark)");
system.onchange = () => dark(system.matches);
const time = Time(world, refresh);
Search(world, choose, redraw);
Legend(world, refresh);
$("name").textContent = $("name").title = given.graph;
$("in").onclick = () => zoom(1.4);
$("out").onclick = () => zoom(1 / 1.4);
$("fit").onclick = () => glide(fit());
$("theme").onclick = () => dark(document.documentElement.dataset.theme !== "dark");

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.key === "Escape") return choose(null);
  if (event.target.tagName === "INPUT" || (event.key === " " && event.target.tagName === "BUTTON")) return;
  const step = 80 / view.k, keys = {
    "/": () => $("search").focus(), "+": () => zoom(1.25), "=": () => zoom(1.25), "-": () => zoom(0.8), 0: () => glide(fit()),
    d: $("theme").onclick, " ": time.toggle, a: time.always,
    ArrowLeft: () => { view.x -= step; }, ArrowRight: () => { view.x += step; }, ArrowUp: () => { view.y -= step; }, ArrowDown: () => { view.y += step; },
  };
  const act = keys[event.key];
  if (!act || (event.key.startsWith("Arrow") && event.target !== canvas && event.target !== document.body)) return;
  if (event.key.startsWith("Arrow")) following = false;
  act(); redraw(); event.preventDefault();
});
window.addEventListener("resize", () => { painter.resize(); redraw(); });

function frame(now) {
  if (!layout.cold()) {
    const until = performance.now() + (world.nodes.length > 1500 ? 24 : 10);
    do layout.step(); while (!layout.cold() && performance.now() < until);
    if (following) {
      const to = fit();
      if (still || layout.heat > 0.9) Object.assign(view, to);
      else for (const key of ["x", "y", "k"]) view[key] += (to[key] - view[key]) * 0.2;
    }
    dirty = !still || layout.cold();
  } else if (following) { Object.assign(view, fit()); following = false; dirty = true; }
  if (gliding) { gliding(now); dirty = true; }
  if (dirty) { dirty = false; painter.paint(); }
  requestAnimationFrame(frame);
}

dark(system.matches);
painter.resize();
refresh();
// A first arrangement before the first picture.
for (const until = performance.now() + 200; !layout.cold() && performance.now() < until;) layout.step();
Object.assign(view, fit());
if (named()) {
  while (!layout.cold() && performance.now() < 4000) layout.step();
  choose(named(), true);
}
window.addEventListener("hashchange", () => { if (named()) choose(named(), true); });
requestAnimationFrame(frame);
