// What stands around the canvas: search, legend, detail, time. Every text of the graph's goes in as text, never as markup.

const $ = (id) => document.getElementById(id);

function make(tag, attributes, ...inside) {
  const element = document.createElement(tag);
  for (const [key, value] of Object.entries(attributes || {})) {
    if (key === "onclick") element.onclick = value;
    else if (key === "tint") element.style.setProperty("--tint", value);
    else if (value !== undefined) element.setAttribute(key, value);
  }
  element.append(...inside);
  return element;
}

const day = (ms) => { const text = new Date(ms).toISOString(); return text.endsWith("T00:00:00.000Z") ? text.slice(0, 10) : text.slice(0, 16).replace("T", " "); };
const many = (n, one, more) => n.toLocaleString("en") + " " + (n === 1 ? one : more || one + "s");

function Search(world, choose, changed) {
  const input = $("search"), list = $("results");
  let found = [], at = -1;

  function look() {
    const words = input.value.trim().toLowerCase().split(/\s+/).filter(Boolean);
    found = [];
    if (words.length) {
      for (const p of world.nodes) {
        if (!words.every((word) => p.text.includes(word))) continue;
        const first = p.id.toLowerCase();
        found.push([first === words[0] ? 0 : first.startsWith(words[0]) ? 1 : first.includes(words[0]) ? 2 : 3, p]);
      }
      found.sort((a, b) => a[0] - b[0] || b[1].deg - a[1].deg);
      found = found.map((one) => one[1]);
    }
    world.found = found.length > 400 ? [] : found.map((p) => p.i);
    at = found.length ? 0 : -1;
    show(words.length > 0);
    changed();
  }

  function show(open) {
    list.replaceChildren();
    list.hidden = !open;
    input.setAttribute("aria-expanded", String(open));
    found.slice(0, 40).forEach((p, i) => {
      list.append(make("li", { role: "option", id: "r" + i, "aria-selected": String(i === at), onclick: () => take(i) },
        make("span", { class: "dot", tint: p.tint }), make("b", { title: p.id }, p.id), make("small", {}, p.type)));
    });
    if (found.length > 40) list.append(make("li", { class: "none" }, many(found.length - 40, "more")));
    if (open && !found.length) list.append(make("li", { class: "none" }, "No node has this"));
    if (at >= 0) input.setAttribute("aria-activedescendant", "r" + at); else input.removeAttribute("aria-activedescendant");
  }

  function take(i) {
    if (!found[i]) return;
    choose(found[i], true);
    show(false);
  }

  input.oninput = look;
  input.onfocus = () => { if (input.value) show(true); };
  input.onblur = () => setTimeout(() => show(false), 150);
  input.onkeydown = (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      const last = Math.min(found.length, 40) - 1;
      at = event.key === "ArrowDown" ? Math.min(at + 1, last) : Math.max(at - 1, 0);
      show(true);
      list.children[at]?.scrollIntoView({ block: "nearest" });
      event.preventDefault();
    } else if (event.key === "Enter") { take(Math.max(at, 0)); event.preventDefault(); }
    else if (event.key === "Escape") { input.value = ""; look(); input.blur(); }
    event.stopPropagation();
  };
  // The mouse must not take the focus before the click arrives.
  list.onmousedown = (event) => event.preventDefault();
}

function Legend(world, changed) {
  const list = $("types"), fold = $("fold");
  for (const kind of world.kinds) {
    const button = make("button", { "aria-pressed": "true", title: "Show or hide" },
      make("span", { class: "dot", tint: kind.tint }), make("span", { class: "word" }, kind.name), make("small", {}, kind.count.toLocaleString("en")));
    button.onclick = (event) => {
      // With a modifier, this type alone; again, all.
      if (event.shiftKey || event.altKey) {
        const alone = world.kinds.every((other) => other.shown === (other === kind));
        for (const other of world.kinds) other.shown = alone || other === kind;
      } else kind.shown = !kind.shown;
      [...list.querySelectorAll("button")].forEach((each, i) => each.setAttribute("aria-pressed", String(world.kinds[i].shown)));
      changed();
    };
    list.append(make("li", {}, button));
  }
  const open = (wide) => fold.setAttribute("aria-expanded", String(wide));
  fold.onclick = () => open(fold.getAttribute("aria-expanded") !== "true");
  open(!matchMedia("(max-width: 720px)").matches);
  const left = world.left.join(" ");
  if (left) { $("missing").textContent = left; $("missing").hidden = false; }
}

function Detail(world, choose) {
  const panel = $("detail");

  function fields(pairs) {
    const list = make("dl");
    for (const [key, value] of pairs) {
      if (value === null || value === undefined) continue;
      list.append(make("dt", {}, key), make("dd", {}, typeof value === "string" ? value : JSON.stringify(value, null, 1)));
    }
    return list;
  }

  function span(e) {
    if (e.from === null && e.until === null) return "";
    if (e.from !== null && e.from === e.until) return "never held";
    return (e.from === null ? "" : day(e.from)) + " \u2013 " + (e.until === null ? "" : day(e.until));
  }

  function row(e, p, out) {
    const other = world.nodes[out ? e.t : e.s], when = span(e);
    return make("button", { class: "row" + (e.now ? "" : " off"), title: when, onclick: () => choose(other, true) },
      make("span", { class: "dot", tint: other.tint }),
      make("span", { class: "word" }, make("i", {}, out ? e.rel + " \u2192 " : "\u2190 " + e.rel + " "), other.label),
      make("small", {}, e.until !== null ? "until " + day(e.until).slice(0, 10) : e.from !== null ? day(e.from).slice(0, 10) : ""));
  }

  function node(p) {
    const links = world.edges.filter((e) => e.s === p.i || e.t === p.i), shown = links.slice(0, 300);
    const rows = shown.map((e) => row(e, p, e.s === p.i));
    const body = [make("span", { class: "chip" }, make("span", { class: "dot", tint: p.tint }), p.type)];
    const data = Object.entries(p.data);
    if (data.length) body.push(make("h3", {}, "Attributes"), fields(data));
    body.push(make("h3", {}, links.length ? many(links.length, "edge") : "No edges"), ...rows);
    if (links.length > shown.length) body.push(make("p", {}, many(links.length - shown.length, "more")));
    body.push(make("h3", {}, "Recorded"), fields([["created", day(p.created)]]));
    return [p.id, body];
  }

  function edge(e) {
    const end = (p) => make("button", { class: "row", onclick: () => choose(p, true) },
      make("span", { class: "dot", tint: p.tint }), make("span", { class: "word" }, p.label), make("small", {}, p.type));
    const body = [make("h3", {}, "From"), end(world.nodes[e.s]), make("h3", {}, "To"), end(world.nodes[e.t]), make("h3", {}, "Fact"),
      fields([["holds", span(e) || "always"], ["weight", e.weight], ["source", e.source], ["created", day(e.created)]])];
    const data = Object.entries(e.data);
    if (data.length) body.push(make("h3", {}, "Attributes"), fields(data));
    return [e.rel, body];
  }

  return (what) => {
    panel.hidden = !what;
    if (!what) return panel.replaceChildren();
    const [title, body] = what.deg !== undefined ? node(what) : edge(what);
    panel.replaceChildren(make("header", {}, make("h2", {}, title),
      make("button", { class: "shut", "aria-label": "Close", title: "Close (Esc)", onclick: () => choose(null) }, "\u00d7")), ...body);
    panel.scrollTop = 0;
  };
}

function Time(world, changed) {
  const bounds = [];
  for (const e of world.edges) { if (e.from !== null) bounds.push(e.from); if (e.until !== null) bounds.push(e.until); }
  if (!bounds.length) return { toggle() {}, always() {} };
  bounds.push(world.made);
  const first = bounds.reduce((a, b) => Math.min(a, b)), last = bounds.reduce((a, b) => Math.max(a, b));
  const slider = $("when"), play = $("play"), always = $("always"), date = $("date");
  const at = () => first + (last - first) * slider.value / 1000;
  let playing = 0;
  $("time").hidden = false;

  // How many facts hold over time.
  const steps = 200, heights = new Float64Array(steps + 1);
  const place = (ms) => Math.max(0, Math.min(steps, Math.round((ms - first) / (last - first || 1) * steps)));
  for (const e of world.edges) { heights[e.from === null ? 0 : place(e.from)]++; if (e.until !== null) heights[place(e.until)]--; }
  for (let i = 1; i <= steps; i++) heights[i] += heights[i - 1];
  const tallest = Math.max(...heights, 1);
  $("wave").firstElementChild.setAttribute("d", "M0 30 " + [...heights].map((h, i) => "L" + i + " " + (30 - 28 * Math.max(h, 0) / tallest).toFixed(1)).join(" ") + " L200 30Z");

  function set(all) {
    world.at = all ? null : at();
    always.setAttribute("aria-pressed", String(all));
    $("time").classList.toggle("all", all);
    date.textContent = all ? "" : day(at()).slice(0, last - first < 3 * 864e5 ? 16 : 10);
    slider.setAttribute("aria-valuetext", all ? "all times" : day(at()));
    changed();
  }
  function stop() { cancelAnimationFrame(playing); playing = 0; play.textContent = "\u25b6"; }
  function run() {
    if (playing) return stop();
    if (+slider.value >= 1000) slider.value = 0;
    play.textContent = "\u23f8";
    let before = performance.now();
    const tick = (now) => {
      const to = +slider.value + Math.max(1, (now - before) / 12);
      if (now - before > 40) { before = now; slider.value = Math.min(1000, to); set(false); }
      if (+slider.value >= 1000) stop(); else playing = requestAnimationFrame(tick);
    };
    playing = requestAnimationFrame(tick);
  }
  slider.oninput = () => { stop(); set(false); };
  play.onclick = run;
  always.onclick = () => { stop(); set(world.at !== null); };
  set(true);
  return { toggle: run, always: always.onclick };
}
