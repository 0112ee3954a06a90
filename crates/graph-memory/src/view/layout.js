// A force layout: nodes repel each other (Barnes and Hut's tree), edges pull, the middle holds all together.

const THETA = 0.81, REACH = 34, PUSH = 70, HOLD = 0.05, DRAG = 0.6, COOL = 0.0175, COLD = 0.004;

function Layout(nodes, edges) {
  const n = nodes.length, cap = Math.max(64, n * 4);
  const child = new Int32Array(cap * 4), mass = new Float64Array(cap), mx = new Float64Array(cap), my = new Float64Array(cap);
  const twin = new Int32Array(n), stack = new Int32Array(512), sizes = new Float64Array(512);
  let cells = 0, left = 0, top = 0, size = 1;

  // A sunflower: best-connected nodes in the middle, none on another.
  nodes.map((_, i) => i).sort((a, b) => nodes[b].deg - nodes[a].deg).forEach((i, rank) => {
    const radius = 14 * Math.sqrt(rank + 0.5), angle = rank * 2.399963;
    nodes[i].x = radius * Math.cos(angle); nodes[i].y = radius * Math.sin(angle);
    nodes[i].vx = nodes[i].vy = 0;
  });

  function cell() {
    child.fill(0, cells * 4, cells * 4 + 4);
    mass[cells] = mx[cells] = my[cells] = 0;
    return cells++;
  }

  // Children: 0 none, positive a cell, negative a node.
  function insert(i) {
    const p = nodes[i];
    let at = 0, half = size / 2, x = left + half, y = top + half;
    for (let depth = 0; ; depth++) {
      mass[at] += 1; mx[at] += p.x; my[at] += p.y;
      const east = p.x >= x, south = p.y >= y, slot = at * 4 + (south ? 2 : 0) + (east ? 1 : 0);
      half /= 2; x += east ? half : -half; y += south ? half : -half;
      const there = child[slot];
      if (there === 0) { child[slot] = -1 - i; twin[i] = -1; return; }
      if (there > 0) { at = there; continue; }
      const other = -1 - there;
      if (depth > 40 || cells >= cap) { twin[i] = twin[other]; twin[other] = i; return; }
      at = child[slot] = cell();
      // The one that was here moves down; the loop goes on with this one.
      const q = nodes[other];
      let weight = 1;
      for (let t = twin[other]; t >= 0; t = twin[t]) weight++;
      mass[at] += weight; mx[at] += q.x * weight; my[at] += q.y * weight;
      child[at * 4 + (q.y >= y ? 2 : 0) + (q.x >= x ? 1 : 0)] = there;
    }
  }

  function build() {
    let right = -Infinity, bottom = -Infinity;
    left = top = Infinity;
    for (const p of nodes) {
      if (p.x < left) left = p.x; if (p.x > right) right = p.x;
      if (p.y < top) top = p.y; if (p.y > bottom) bottom = p.y;
    }
    size = Math.max(right - left, bottom - top, 1) * 1.001;
    cells = 0; cell();
    for (let i = 0; i < n; i++) insert(i);
  }

  function push(p, x, y, times, heat) {
    let dx = p.x - x, dy = p.y - y, d2 = dx * dx + dy * dy;
    if (d2 < 1) { dx = Math.cos(p.i) * 0.5 + dx; dy = Math.sin(p.i) * 0.5 + dy; d2 = 1; }
    const force = PUSH * times * heat / d2;
    p.vx += dx * force; p.vy += dy * force;
  }

  function repel(i, heat) {
    const p = nodes[i];
    let depth = 0;
    stack[0] = 0; sizes[0] = size;
    while (depth >= 0) {
      const at = stack[depth], span = sizes[depth--], cx = mx[at] / mass[at], cy = my[at] / mass[at];
      const dx = p.x - cx, dy = p.y - cy;
      if (span * span < THETA * (dx * dx + dy * dy)) { push(p, cx, cy, mass[at], heat); continue; }
      for (let k = at * 4; k < at * 4 + 4; k++) {
        const there = child[k];
        if (there > 0 && depth < 508) { stack[++depth] = there; sizes[depth] = span / 2; }
        else if (there < 0) for (let j = -1 - there; j >= 0; j = twin[j]) if (j !== i) push(p, nodes[j].x, nodes[j].y, 1, heat);
      }
    }
  }

  const layout = { heat: n > 1 ? 1 : 0 };
  layout.cold = () => layout.heat < COLD;
  layout.warm = (to) => { layout.heat = Math.max(layout.heat, to); };
  layout.step = () => {
    const heat = layout.heat;
    build();
    for (let i = 0; i < n; i++) repel(i, heat);
    for (const e of edges) {
      const a = nodes[e.s], b = nodes[e.t];
      if (a === b) continue;
      const dx = b.x - a.x, dy = b.y - a.y, d = Math.sqrt(dx * dx + dy * dy) || 1;
      const pull = (d - REACH - a.r - b.r) / d * heat / Math.min(a.deg, b.deg), share = b.deg / (a.deg + b.deg);
      a.vx += dx * pull * share; a.vy += dy * pull * share;
      b.vx -= dx * pull * (1 - share); b.vy -= dy * pull * (1 - share);
    }
    for (const p of nodes) {
      if (p.held) { p.vx = p.vy = 0; continue; }
      // What hangs on nothing would drift far out: it is held more.
      const hold = heat * (p.deg === 0 ? HOLD * 1.6 : HOLD);
      p.vx = (p.vx - p.x * hold) * DRAG; p.vy = (p.vy - p.y * hold) * DRAG;
      p.x += p.vx; p.y += p.vy;
    }
    layout.heat += (0 - heat) * COOL;
  };
  return layout;
}
