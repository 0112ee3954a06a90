// The canvas: edges below, nodes above, words where there is room.

function Painter(canvas, world) {
  const pen = canvas.getContext("2d"), tints = {};
  const view = { x: 0, y: 0, k: 1, w: 0, h: 0 };

  function theme() {
    const style = getComputedStyle(document.documentElement);
    for (const name of ["paper", "ink", "soft", "line", "edge", "hot", "ended"]) tints[name] = style.getPropertyValue("--" + name).trim();
  }

  function resize() {
    const ratio = Math.min(window.devicePixelRatio || 1, 2);
    view.w = canvas.clientWidth; view.h = canvas.clientHeight;
    canvas.width = Math.round(view.w * ratio); canvas.height = Math.round(view.h * ratio);
    view.ratio = ratio;
  }

  const onScreen = (p, by) => {
    const x = (p.x - view.x) * view.k + view.w / 2, y = (p.y - view.y) * view.k + view.h / 2;
    return x > -by && y > -by && x < view.w + by && y < view.h + by;
  };

  // The control point of an edge: parallel edges bend apart, a loop stands on its node.
  function bend(e) {
    const a = world.nodes[e.s], b = world.nodes[e.t];
    if (a === b) return { x: a.x, y: a.y - a.r * 2 - 22 - e.lane * 12 };
    const dx = b.x - a.x, dy = b.y - a.y;
    return { x: (a.x + b.x) / 2 - dy * e.lane * 0.16, y: (a.y + b.y) / 2 + dx * e.lane * 0.16 };
  }

  function line(e) {
    const a = world.nodes[e.s], b = world.nodes[e.t];
    pen.moveTo(a.x, a.y);
    if (a === b) {
      const up = a.r * 2 + 22 + e.lane * 12;
      pen.bezierCurveTo(a.x - up, a.y - up, a.x + up, a.y - up, a.x, a.y);
    } else if (e.lane === 0) pen.lineTo(b.x, b.y);
    else { const c = bend(e); pen.quadraticCurveTo(c.x, c.y, b.x, b.y); }
  }

  function head(e, wide) {
    const a = world.nodes[e.s], b = world.nodes[e.t];
    if (a === b) return;
    const from = e.lane === 0 ? a : bend(e), dx = b.x - from.x, dy = b.y - from.y, d = Math.hypot(dx, dy) || 1;
    const ux = dx / d, uy = dy / d, tip = b.r + 1.5 / view.k, long = wide * 2.2;
    if (d < tip + long) return;
    const x = b.x - ux * tip, y = b.y - uy * tip;
    pen.moveTo(x, y);
    pen.lineTo(x - ux * long - uy * wide, y - uy * long + ux * wide);
    pen.lineTo(x - ux * long + uy * wide, y - uy * long - ux * wide);
    pen.closePath();
  }

  function strokes(list, tint, width, heads) {
    if (!list.length) return;
    pen.strokeStyle = pen.fillStyle = tint; pen.lineWidth = width / view.k;
    const wide = (1.6 + width) * Math.min(1, 0.45 + view.k * 0.55) / view.k;
    // Short paths are drawn faster than one long one.
    for (let i = 0; i < list.length; i += 250) {
      const part = list.slice(i, i + 250);
      pen.beginPath(); for (const e of part) line(e); pen.stroke();
      if (heads) { pen.beginPath(); for (const e of part) head(e, wide); pen.fill(); }
    }
  }

  function words(text, x, y, tint, bold) {
    pen.font = (bold ? "600 " : "") + "12px system-ui, sans-serif";
    pen.strokeStyle = tints.paper; pen.lineWidth = 4; pen.lineJoin = "round";
    pen.strokeText(text, x, y);
    pen.fillStyle = tint; pen.fillText(text, x, y);
  }

  const short = (text, to) => text.length > to ? text.slice(0, to - 1) + "\u2026" : text;

  function paint() {
    const { nodes, edges } = world, k = view.k;
    pen.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    pen.fillStyle = tints.paper; pen.fillRect(0, 0, view.w, view.h);
    pen.translate(view.w / 2, view.h / 2); pen.scale(k, k); pen.translate(-view.x, -view.y);

    const focus = world.focus(), near = world.near(), cold = [], plain = [], hot = [];
    for (const e of edges) {
      if (!e.seen) continue;
      const a = nodes[e.s], b = nodes[e.t];
      if (!onScreen(a, 400) && !onScreen(b, 400) && k > 0.8) continue;
      if (focus && (focus === e || e.s === focus.i && focus.deg !== undefined || e.t === focus.i && focus.deg !== undefined)) hot.push(e);
      else (focus ? cold : plain).push(e);
    }
    const crowd = cold.length + plain.length;
    pen.globalAlpha = crowd > 6000 ? 0.2 : crowd > 1500 ? 0.5 : 0.8;
    strokes(plain, tints.edge, 1, k > 0.35 || crowd < 1500);
    pen.globalAlpha = 0.22;
    strokes(cold, tints.edge, 1, false);
    pen.globalAlpha = 1;
    strokes(hot, tints.hot, 1.6, true);

    for (const p of nodes) {
      if (!p.seen || !onScreen(p, 40)) continue;
      const dim = focus && !near.has(p.i);
      pen.globalAlpha = dim ? 0.18 : p.lit ? 1 : 0.28;
      pen.fillStyle = p.tint;
      pen.beginPath(); pen.arc(p.x, p.y, Math.max(p.r, 1.7 / k), 0, 6.2832); pen.fill();
      if (k > 0.35) { pen.strokeStyle = tints.paper; pen.lineWidth = 1.5 / k; pen.stroke(); }
    }
    pen.globalAlpha = 1;
    pen.strokeStyle = tints.hot;
    for (const i of world.found) {
      const p = nodes[i];
      if (!p.seen) continue;
      pen.lineWidth = 2 / k; pen.beginPath(); pen.arc(p.x, p.y, p.r + 4 / k, 0, 6.2832); pen.stroke();
    }
    if (world.chosen && world.chosen.deg !== undefined) {
      const p = world.chosen;
      pen.strokeStyle = tints.ink; pen.lineWidth = 2.5 / k;
      pen.beginPath(); pen.arc(p.x, p.y, p.r + 3.5 / k, 0, 6.2832); pen.stroke();
    }
    label(focus, near, hot, plain);
  }

  // Words are drawn in pixels of the screen; each takes its cells, and a later one finds them taken.
  function label(focus, near, hot, plain) {
    const k = view.k, taken = new Set();
    pen.setTransform(view.ratio, 0, 0, view.ratio, 0, 0);
    pen.textAlign = "center"; pen.textBaseline = "middle";
    const put = (text, x, y, tint, bold, always) => {
      const half = text.length * 3.5 + 6, first = Math.floor((x - half) / 12), last = Math.floor((x + half) / 12);
      const above = Math.floor((y - 8) / 6), below = Math.floor((y + 8) / 6);
      const cells = [];
      for (let row = above; row <= below; row++) for (let c = first; c <= last; c++) cells.push(row * 4096 + c);
      if (!always && cells.some((c) => taken.has(c))) return;
      for (const c of cells) taken.add(c);
      words(text, x, y, tint, bold);
    };
    const toScreen = (p) => [(p.x - view.x) * k + view.w / 2, (p.y - view.y) * k + view.h / 2];
    const name = (p, always) => {
      if (!p.seen || !onScreen(p, 30)) return;
      const [x, y] = toScreen(p);
      put(short(p.label, 34), x, y + p.r * k + 10, tints.ink, always, always);
    };
    if (focus && focus.deg !== undefined) name(focus, true);
    if (focus) for (const i of near) { if (taken.size > 40000) break; name(world.nodes[i], false); }
    else {
      let left = 140;
      for (const p of world.ranked) {
        if (left <= 0) break;
        // Far away only what stands out is named, a dozen at least.
        if (p.r * k < 5 && !world.small && left < 128) continue;
        if (p.seen && p.lit && onScreen(p, 20)) { name(p, false); left--; }
      }
    }
    const relation = (e, tint) => {
      const a = world.nodes[e.s], b = world.nodes[e.t], c = bend(e);
      const mid = a === b ? { x: c.x, y: c.y + 8 } : { x: (a.x + 2 * c.x + b.x) / 4, y: (a.y + 2 * c.y + b.y) / 4 };
      if (!onScreen(mid, 0)) return;
      if (a !== b && Math.hypot(a.x - b.x, a.y - b.y) * k < 46) return;
      const [x, y] = toScreen(mid);
      put(short(e.rel, 24), x, y, tint, false, false);
    };
    for (const e of hot.slice(0, 80)) relation(e, tints.hot);
    if (!focus && (k > 1.4 || world.small)) {
      let left = 120;
      for (const e of plain) { if (left-- <= 0) break; relation(e, tints.soft); }
    }
  }

  const unproject = (x, y) => [(x - view.w / 2) / view.k + view.x, (y - view.h / 2) / view.k + view.y];

  function hit(x, y, touch) {
    const [wx, wy] = unproject(x, y), slack = (touch ? 14 : 5) / view.k;
    let best = null, least = Infinity;
    for (const p of world.nodes) {
      if (!p.seen) continue;
      const d = Math.hypot(p.x - wx, p.y - wy) - p.r;
      if (d < slack && d < least) { best = p; least = d; }
    }
    if (best) return best;
    least = slack;
    for (const e of world.edges) {
      if (!e.seen) continue;
      const a = world.nodes[e.s], b = world.nodes[e.t], c = bend(e);
      // Three points along the curve make two short lines.
      const mid = { x: (a.x + 2 * c.x + b.x) / 4, y: (a.y + 2 * c.y + b.y) / 4 };
      const d = Math.min(apart(wx, wy, a, mid), apart(wx, wy, mid, b));
      if (d < least) { best = e; least = d; }
    }
    return best;
  }

  function apart(x, y, a, b) {
    const dx = b.x - a.x, dy = b.y - a.y, l2 = dx * dx + dy * dy || 1;
    const t = Math.max(0, Math.min(1, ((x - a.x) * dx + (y - a.y) * dy) / l2));
    return Math.hypot(a.x + t * dx - x, a.y + t * dy - y);
  }

  return { view, theme, resize, paint, hit, unproject };
}
