/* Takes hold of the plane of a film that can be edited: the start, the components of its mixture, the axes of their ellipses.
 *
 * mountEditor(player, graph, { step, say, onEdit }) -> { show(film), follow(reply), place(), click([x, y]), destroy() }
 *   step    () => the step shown
 *   say     (text) => said in place of the film's sentence; none for the film's own
 *   onEdit  ({ mixture, start, final, count }): asks for the points of a mixture while it is dragged (answered by follow), or for
 *           the film of one that is finished (answered by show); null where nobody answers, and then the map alone follows
 *
 * The map is computed here (mixture_map.js) and drawn on a canvas, in place of the figure's own traces, until the film arrives.
 * One request is under way, and the newest wish is next.
 */
function mountEditor(player, graph, { step, say, onEdit }) {
  const DEVIATIONS = 2; // of the ellipses
  const MOST = 64; // components
  const SIDE = 81; // points along each side of a map, fewer where they take too long
  const PATIENCE = 20_000; // ms for an answer, after which the next wish is sent all the same
  const TWICE = 280; // ms between the clicks of a double click
  const ICONS = { add: "M10 3h4v7h7v4h-7v7h-4v-7H3v-4h7z", remove: "M3 10h18v4H3z", undo: "M9 4v4h5a6 6 0 0 1 0 12H7v-3h7a3 3 0 0 0 0-6H9v4L2 9z" };
  const DASHES = { solid: [], dash: [9, 6], dot: [3, 4], dashdot: [9, 5, 3, 5] };

  const layer = document.createElement("div");
  layer.className = "editor";
  layer.hidden = true;
  const button = (name, label) => `<button type="button" data-edit="${name}" aria-label="${label}" title="${label}">
    <svg viewBox="0 0 24 24" aria-hidden="true"><path d="${ICONS[name]}"/></svg></button>`;
  layer.innerHTML = `<canvas></canvas><svg class="editor-handles" role="group" aria-label="What can be moved on the plane"></svg>
    <div class="editor-tools" role="group" aria-label="Mixture">${button("add", "Add a component (or double click on the plane)")}
    ${button("remove", "Remove the selected component (Delete)")}${button("undo", "Undo (Ctrl+Z)")}</div>`;
  graph.after(layer);
  const canvas = layer.querySelector("canvas"), svg = layer.querySelector("svg"), context = canvas.getContext("2d");

  let plane = ""; // the subplot, as "xy"
  let film = null; // what the film says of itself: see figures/density_lab/editing.py
  let rows = [], start = [0, 0]; // as they are in hand
  let marks = null; // the points last known, with their looks
  let selected = null; // key of a handle
  let held = null; // the handle under the pointer
  let past = []; // what undo goes back to
  let wishes = [], count = 0, answered = 0, finished = false, patience = null;
  let area = null, side = SIDE, frame = 0, hidden = [], clicked = null, rest = null;

  const state = () => ({ rows, start });
  const written = (some) => some.map((row) => row.map((value) => Number(value.toPrecision(6))).join(",")).join(";");
  const remade = () => film && written(rows) !== written(film.rows);
  const led = () => film && String(start) !== String(film.start);
  const inHand = (k) => { const taken = held ?? rest; return taken?.axes && component(taken.key) === k ? taken.axes : axesOf(rows[k]); };
  const component = (key) => (/^(centre|axis)/.test(key) ? Number(key.split("-")[1]) : -1);
  const rounded = (value) => Math.round(value * 100) / 100;

  /* ---- what is asked for */

  function ask(...kinds) { // "points" or "film", one after the other
    wishes = kinds.filter((kind) => kind === "film" || !(film.learned && remade())); // a network is trained for a finished mixture only
    next();
  }

  function next() {
    if (!onEdit || !wishes.length || count !== answered) return;
    finished = wishes.shift() === "film";
    onEdit({ mixture: remade() ? written(rows) : null, start, final: finished, count: ++count });
    clearTimeout(patience);
    patience = setTimeout(() => { answered = count; next(); }, PATIENCE);
  }

  function answer(number) {
    answered = Math.max(answered, number);
    next();
  }

  /* What was before can be undone; `kinds` is what is asked for now. */
  function commit(before, ...kinds) {
    past.push(before);
    ask(...kinds);
    redraw();
  }

  /* ---- what can be done */

  const axesOf = ([, , , varX, cov, varY]) => {
    const half = Math.hypot((varX - varY) / 2, cov), mean = (varX + varY) / 2;
    return { angle: Math.atan2(2 * cov, varX - varY) / 2, deviations: [Math.sqrt(mean + half), Math.sqrt(Math.max(mean - half, 1e-12))] };
  };

  function withAxes(row, { angle, deviations: [one, two] }) {
    const cos = Math.cos(angle), sin = Math.sin(angle), a = one * one, b = two * two;
    const covariance = [a * cos * cos + b * sin * sin, (a - b) * cos * sin, a * sin * sin + b * cos * cos];
    return [...row.slice(0, 3), ...covariance.map((value) => Number(value.toPrecision(6))), row[6]];
  }

  /* The end n = 0 .. 3 of the axes of a component. */
  function axisEnd(row, axes, n) {
    const angle = axes.angle + (n * Math.PI) / 2, length = DEVIATIONS * axes.deviations[n % 2];
    return [row[1] + length * Math.cos(angle), row[2] + length * Math.sin(angle)];
  }

  const change = (k, row) => { rows = rows.map((old, i) => (i === k ? row : old)); };

  /* Bring a handle to a place; `axes` are those of the component when it was taken, which keep their order. */
  function move(key, [x, y], axes) {
    x = Math.min(Math.max(x, area.x[0]), area.x[1]);
    y = Math.min(Math.max(y, area.y[0]), area.y[1]);
    const k = component(key), row = rows[k];
    if (key === "start") start = [rounded(x), rounded(y)];
    else if (key.startsWith("centre")) change(k, [row[0], rounded(x), rounded(y), ...row.slice(3)]);
    else {
      const n = Number(key.split("-")[2]), away = [x - row[1], y - row[2]];
      axes.deviations = axes.deviations.slice();
      axes.deviations[n % 2] = Math.max(rounded(Math.hypot(...away) / DEVIATIONS), 0.05);
      axes.angle = Math.atan2(away[1], away[0]) - (n * Math.PI) / 2;
      change(k, withAxes(row, axes));
    }
    tell(key);
  }

  function tell(key) {
    const k = component(key), pair = (values) => values.map((value) => value.toFixed(2).replace("-", "−")).join(", ");
    const where = key === "start" ? `Start at (${pair(start)})`
      : key.startsWith("axis") ? `Component ${k + 1}: standard deviations ${pair(axesOf(rows[k]).deviations)}`
      : `Component ${k + 1} at (${pair(rows[k].slice(1, 3))})`;
    say(onEdit ? `${where}${marks?.said ? `: ${marks.said}` : ""}.` : `${where}. Only the map follows here: minima, modes and paths need the app.`);
  }

  function add([x, y]) {
    if (rows.length >= MOST) return;
    const before = state(), mean = (column) => rows.reduce((sum, row) => sum + row[column], 0) / rows.length;
    const variance = Number(((mean(3) + mean(5)) / 2).toPrecision(2));
    const near = rows.reduce((best, row) => (Math.hypot(row[1] - x, row[2] - y) < Math.hypot(best[1] - x, best[2] - y) ? row : best));
    rows = [...rows, [mean(0), rounded(x), rounded(y), variance, 0, variance, near[6]]];
    discrete(before, `centre-${rows.length - 1}`);
  }

  function remove() {
    const k = selected === null ? -1 : component(selected);
    if (k < 0 || rows.length < 2) return;
    const before = state();
    rows = rows.filter((_, i) => i !== k);
    discrete(before, `centre-${Math.min(k, rows.length - 1)}`);
  }

  function undo() {
    if (!past.length) return;
    ({ rows, start } = past.pop());
    marks = null;
    if (selected !== null && component(selected) >= rows.length) selected = null;
    say();
    ask("points", "film");
    redraw();
  }

  /* Components have come or gone: the points known are no longer those of the mixture. */
  function discrete(before, key) {
    marks = null;
    selected = key;
    tell(key);
    commit(before, "points", "film");
    draw();
    svg.querySelector(`[data-key="${key}"]`).focus({ preventScroll: true });
  }

  /* ---- pointer and keys */

  const span = ([low, high]) => high - low;
  const toX = (x) => ((x - area.x[0]) / span(area.x)) * area.width;
  const toY = (y) => area.height - ((y - area.y[0]) / span(area.y)) * area.height;
  function pointed(event) {
    const box = layer.getBoundingClientRect();
    return [area.x[0] + ((event.clientX - box.left) / area.width) * span(area.x), area.y[1] - ((event.clientY - box.top) / area.height) * span(area.y)];
  }

  function placeOf(key) {
    if (key === "start") return start;
    const row = rows[component(key)];
    return key.startsWith("centre") ? row.slice(1, 3) : axisEnd(row, inHand(component(key)), Number(key.split("-")[2]));
  }

  function onDown(event) {
    const node = event.target.closest("[data-key]");
    if (!node || event.button !== 0 || held) return;
    event.preventDefault();
    settle();
    node.focus({ preventScroll: true });
    svg.setPointerCapture(event.pointerId);
    const key = node.dataset.key, place = placeOf(key), from = pointed(event), k = component(key);
    selected = key;
    side = SIDE;
    held = { key, pointer: event.pointerId, before: state(), off: [place[0] - from[0], place[1] - from[1]], axes: k < 0 ? null : axesOf(rows[k]) };
    redraw();
  }

  function onMove(event) {
    if (event.pointerId !== held?.pointer) return;
    const [x, y] = pointed(event);
    move(held.key, [x + held.off[0], y + held.off[1]], held.axes);
    held.moved = true;
    ask("points");
    redraw();
  }

  function onUp(event) {
    if (event.pointerId !== held?.pointer) return;
    const { before, moved } = held;
    held = null;
    if (moved && event.type === "pointerup") commit(before, "film");
    else ({ rows, start } = before);
    redraw();
  }

  /* What arrow keys have moved is finished when they rest. */
  function settle() {
    if (!rest) return;
    clearTimeout(rest.timer);
    const { before } = rest;
    rest = null;
    commit(before, "film");
  }

  function nudge(key, dx, dy) {
    if (rest?.key !== key) settle();
    const [x, y] = placeOf(key), k = component(key);
    rest ??= { key, before: state(), axes: k < 0 ? null : axesOf(rows[k]) };
    move(key, [x + dx, y + dy], rest.axes);
    ask("points");
    clearTimeout(rest.timer);
    rest.timer = setTimeout(settle, 600);
    redraw();
  }

  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1] };
  const tools = { add: () => add([(area.x[0] + area.x[1]) / 2, (area.y[0] + area.y[1]) / 2]), remove, undo };

  function onKey(event) {
    const key = event.target.dataset.key, arrow = ARROWS[event.key], size = event.shiftKey ? 0.01 : 0.05;
    if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "z") { settle(); undo(); }
    else if (event.ctrlKey || event.metaKey || event.altKey) return;
    else if (key && arrow) nudge(key, size * arrow[0], size * arrow[1]);
    else if (key && (event.key === "Delete" || event.key === "Backspace")) { settle(); remove(); }
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  function onTool(event) {
    const name = event.target.closest("[data-edit]")?.dataset.edit;
    if (name) { settle(); tools[name](); }
  }

  function onFocus(event) {
    if (!event.target.dataset.key || event.target.dataset.key === selected) return;
    settle();
    selected = event.target.dataset.key;
    redraw();
  }

  /* A click on the bare plane is the start; a second one soon after is a new component there. */
  function click([x, y]) {
    settle();
    if (clicked) {
      clearTimeout(clicked.timer);
      const [oldX, oldY] = clicked.place, near = Math.hypot(toX(x) - toX(oldX), toY(y) - toY(oldY)) < 24;
      start = clicked.before.start;
      clicked = null;
      if (near) return add([x, y]);
    }
    selected = null;
    const before = state();
    if (onEdit) start = [rounded(x), rounded(y)];
    clicked = { before, place: [x, y], timer: setTimeout(() => { clicked = null; if (onEdit) commit(before, "film"); }, TWICE) };
    redraw();
  }

  /* ---- what is drawn */

  function redraw() {
    frame ||= requestAnimationFrame(draw);
  }

  function draw() {
    cancelAnimationFrame(frame);
    frame = 0;
    if (!film || !area) return;
    const mixture = remade(), path = led();
    player.classList.toggle("remade", mixture && !film.learned);
    player.classList.toggle("led", mixture || path);
    for (const node of hidden) node.style.visibility = "";
    hidden = path && !mixture ? film.follow.map((k) => graph.querySelector(`.trace${graph._fullData[k].uid}`)).filter(Boolean) : [];
    for (const node of hidden) node.style.visibility = "hidden";
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.round(area.width * ratio);
    canvas.height = Math.round(area.height * ratio);
    context.scale(ratio, ratio);
    if (mixture && !film.learned) drawMap();
    if (mixture || path) drawMarks(mixture);
    drawHandles();
  }

  function drawMap() {
    const { sigma, rule, layers, colours } = film, began = performance.now();
    const xs = sharedAxis(...area.x, side, sigma, rule.nodes), ys = sharedAxis(...area.y, side, sigma, rule.nodes);
    const across = xs.map(toX), down = ys.map(toY);
    const lines = (values, levels, colour, width, dash = []) => {
      const path = new Path2D();
      contourLines(path, values, across, down, levels);
      context.strokeStyle = colour;
      context.lineWidth = width;
      context.setLineDash(dash);
      context.stroke(path);
    };
    const whole = (fields) => fields[0].map((_, at) => { // log of the sum over classes
      const top = Math.max(...fields.map((field) => field[at]));
      return top + Math.log(fields.reduce((sum, field) => sum + Math.exp(field[at] - top), 0));
    });
    const classes = layers.some((name) => name === "regions" || name === "density") ? classLogProbs(rows, 0, xs, ys) : [];
    if (layers.includes("regions")) {
      const lead = (label) => classes[label].map((value, at) => value - Math.max(...classes.map((other, k) => (k === label ? -Infinity : other[at]))));
      const leads = classes.length > 1 ? classes.map((_, label) => lead(label)) : [];
      patch(across, down, (at) => [colours.classes[Math.max(leads.findIndex((values) => values[at] >= 0), 0) % colours.classes.length], 0.2], false);
      (leads.length > 2 ? leads : leads.slice(1)).forEach((values) => lines(values, { start: 0, size: 1e300 }, getComputedStyle(player).color, 3));
    }
    if (layers.includes("density")) {
      const values = whole(classes), top = values.reduce((a, b) => Math.max(a, b));
      patch(across, down, (at) => [colours.blue, 0.75 * Math.exp(values[at] - top)], true);
    }
    if (layers.includes("smoothed")) {
      const values = whole(classLogProbs(rows, sigma, xs, ys)), top = values.reduce((a, b) => Math.max(a, b));
      lines(values.map((value) => Math.exp(value - top)), { start: 0, size: 0.07 }, colours.blue, 1.5);
    }
    const drawn = graph._fullData.find((trace) => trace.type === "contour" && /(^|log10 )error$/.test(trace.name));
    if (drawn) {
      const error = errorMap(rows, sigma, rule, xs, ys);
      lines(/^log/.test(drawn.name) ? error.map(Math.log10) : error, drawn.contours, colours.grey, 1.5);
    }
    if (performance.now() - began > 20 && side > 41) side -= 10;
  }

  /* A field as colours: look(at) -> [colour, opacity]. */
  function patch(across, down, look, smooth) {
    const wide = across.length, high = down.length, sheet = new OffscreenCanvas(wide, high), pen = sheet.getContext("2d");
    const image = pen.createImageData(wide, high), channels = {};
    for (let at = 0; at < wide * high; at++) {
      const [colour, opacity] = look(at);
      channels[colour] ??= [1, 3, 5].map((from) => parseInt(colour.slice(from, from + 2), 16));
      const to = 4 * ((high - 1 - Math.floor(at / wide)) * wide + (at % wide)); // an image's first row is on top
      image.data.set(channels[colour], to);
      image.data[to + 3] = Math.round(255 * opacity);
    }
    pen.putImageData(image, 0, 0);
    const cell = across[1] - across[0];
    context.imageSmoothingEnabled = smooth;
    context.drawImage(sheet, across[0] - cell / 2, down.at(-1) - cell / 2, wide * cell, high * cell);
  }

  function drawMarks(mixture) {
    const known = (onEdit && marks) ?? { paths: [], points: [] };
    for (const { points, colour, dash, symbol } of known.paths) {
      const walked = points.slice(0, step() + 1), trace = (some, width, style) => {
        context.beginPath();
        some.forEach(([x, y]) => context.lineTo(toX(x), toY(y)));
        context.setLineDash(style);
        context.lineWidth = width;
        context.strokeStyle = colour;
        context.stroke();
      };
      context.globalAlpha = 0.6;
      trace(points, 1.5, []);
      context.globalAlpha = 1;
      trace(walked, 4, DASHES[dash]);
      mark(walked.at(-1), { symbol, size: 17, colour, edge: "#FFFFFF" });
    }
    if (mixture) for (const { points, ...look } of known.points) points.forEach((point) => mark(point, look));
    mark(start, { symbol: "circle", size: 20, colour: "transparent", edge: film.colours.grey, width: 4 });
  }

  /* One of the symbols that the figure draws too. */
  function mark([x, y], { symbol, size, colour, edge, width = 2 }) {
    const corners = { diamond: 4, square: 4, "triangle-up": 3, "triangle-down": 3, pentagon: 5, star: 10, x: 12 }[symbol] ?? 0;
    const turn = { square: Math.PI / 4, "triangle-down": Math.PI }[symbol] ?? 0, radius = size / 2;
    context.beginPath();
    if (!corners) context.arc(toX(x), toY(y), radius, 0, 2 * Math.PI);
    for (let k = 0; k < corners; k++) {
      const angle = turn + (2 * Math.PI * k) / corners - Math.PI / 2;
      if (symbol === "x") { // three corners an arm: two at its end, one between it and the next
        const arm = Math.PI / 4 + (Math.PI / 2) * Math.floor(k / 3), bend = [-0.4, 0.4, Math.PI / 4][k % 3], far = k % 3 < 2 ? radius : radius * 0.5;
        context.lineTo(toX(x) + far * Math.cos(arm + bend), toY(y) + far * Math.sin(arm + bend));
      } else {
        const far = symbol === "star" && k % 2 ? radius * 0.45 : radius;
        context.lineTo(toX(x) + far * Math.cos(angle), toY(y) + far * Math.sin(angle));
      }
    }
    context.closePath();
    context.setLineDash([]);
    context.fillStyle = colour;
    context.fill();
    context.strokeStyle = edge;
    context.lineWidth = width;
    context.stroke();
  }

  const make = (tag, attributes) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
    return node;
  };

  /* Handles keep their elements from one drawing to the next, and with them pointer and focus. */
  function drawHandles() {
    const chosen = selected === null ? -1 : component(selected), wanted = new Map();
    const moves = "Arrow keys move it, with Shift in small steps.";
    rows.forEach((row, k) => wanted.set(`centre-${k}`, `Component ${k + 1}, class ${row[6]}, at ${rounded(row[1])}, ${rounded(row[2])}. ${moves} Delete removes it.`));
    if (onEdit) wanted.set("start", `Start at ${start.join(", ")}. ${moves}`);
    if (chosen >= 0) for (let n = 0; n < 4; n++) wanted.set(`axis-${chosen}-${n}`, `Component ${chosen + 1}, end ${n + 1} of its axes. ${moves}`);
    svg.querySelectorAll("[data-key]").forEach((node) => { if (!wanted.has(node.dataset.key)) node.remove(); });
    for (const [key, label] of wanted) {
      let node = svg.querySelector(`[data-key="${key}"]`);
      if (!node) {
        const kind = key.split("-")[0];
        node = make("g", { "data-key": key, class: `editor-handle editor-${kind}`, tabindex: 0, role: "button" });
        node.append(make("circle", { class: "editor-reach", r: 12 }), make("circle", { class: "editor-dot", r: 3.5 }));
        svg.append(node);
      }
      const [x, y] = placeOf(key);
      node.setAttribute("transform", `translate(${toX(x)} ${toY(y)})`);
      node.setAttribute("aria-label", label);
      node.classList.toggle("selected", key === selected);
    }
    drawEllipse(chosen);
    layer.querySelector('[data-edit="add"]').disabled = rows.length >= MOST;
    layer.querySelector('[data-edit="remove"]').disabled = chosen < 0 || rows.length < 2;
    layer.querySelector('[data-edit="undo"]').disabled = !past.length;
  }

  function drawEllipse(chosen) {
    const ellipse = svg.querySelector(".editor-ellipse") ?? svg.insertBefore(make("ellipse", { class: "editor-ellipse" }), svg.firstChild);
    ellipse.style.display = chosen < 0 ? "none" : "";
    if (chosen < 0) return;
    const row = rows[chosen], { angle, deviations } = inHand(chosen), scale = (DEVIATIONS * area.width) / span(area.x);
    ellipse.setAttribute("rx", scale * deviations[0]);
    ellipse.setAttribute("ry", scale * deviations[1]);
    ellipse.setAttribute("transform", `translate(${toX(row[1])} ${toY(row[2])}) rotate(${(-angle * 180) / Math.PI})`);
  }

  /* Lay everything over the plane, wherever the figure has it now. */
  function place() {
    const found = film && graph._fullLayout?._plots?.[plane];
    layer.hidden = !found;
    if (!found) return;
    const { xaxis, yaxis } = found;
    area = { x: xaxis.range.slice(), y: yaxis.range.slice(), width: xaxis._length, height: yaxis._length };
    const style = { left: graph.offsetLeft + xaxis._offset, top: graph.offsetTop + yaxis._offset, width: area.width, height: area.height };
    for (const [name, value] of Object.entries(style)) layer.style[name] = `${value}px`;
    draw();
  }

  svg.addEventListener("pointerdown", onDown);
  svg.addEventListener("pointermove", onMove);
  svg.addEventListener("pointerup", onUp);
  svg.addEventListener("pointercancel", onUp);
  layer.addEventListener("keydown", onKey);
  layer.addEventListener("click", onTool);
  svg.addEventListener("focusin", onFocus);

  return {
    place,
    click,

    /* A film; its mixture and start are taken over unless something newer is in hand. */
    show({ edits = null, picks, answer: number = 0 }) {
      plane = picks;
      if (!film) count = answered = number;
      const before = film;
      film = edits;
      if (!film) return;
      answer(number);
      if (held || rest || clicked || wishes.length || count !== answered) return;
      const foreign = before && !finished && written(before.rows) !== written(film.rows);
      if (before && before.preset !== film.preset) past = [];
      else if (foreign) past.push({ rows: before.rows, start: before.start });
      finished = false;
      ({ rows, start, marks } = film);
      if (selected !== null && component(selected) >= rows.length) selected = null;
    },

    /* The points of the mixture in hand. */
    follow({ marks: points, answer: number }) {
      marks = points;
      const key = held?.key ?? selected;
      if (key !== null) tell(key);
      answer(number);
      redraw();
    },

    destroy() {
      cancelAnimationFrame(frame);
      for (const timer of [patience, rest?.timer, clicked?.timer]) clearTimeout(timer);
      layer.remove();
    },
  };
}
