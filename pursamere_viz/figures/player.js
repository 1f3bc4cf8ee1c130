/* The player: one element that owns a Plotly figure and the transport bar under whose hand it steps.
 *
 * mountPlayer(root, Plotly, onPick, onEdit) -> { update(film), follow(reply), destroy() }
 *   root   an element that holds the markup of player.html
 *   onPick called with [x, y] where the plane was clicked, if the film picks
 *   onEdit, follow: see mixture_editor.js, for a film that can be edited
 *   film   { figure: { data, layout, narrow, large }, frames, said, table, waiting, picks, edits, name, cursor, counts, story,
 *          opens, lit }; see figures/player.py;
 *          and from a host whose address may bear the step or a surface's camera, under which names: { address, camera }
 *
 * A new film takes the place of the old one in the same element: step, size and presenter mode stay, nothing is built anew.
 */
function mountPlayer(root, Plotly, onPick = () => {}, onEdit = null) {
  const find = (selector) => root.querySelector(selector);
  const player = find(".player"), graph = find(".player-figure"), line = find(".player-said"), table = find(".player-table");
  const waiting = find(".player-waiting"), frame = find(".player-light");
  const NARROW = 700; // px of width below which the panels stack
  const LARGER = 1.45; // type in presenter mode: 20 px and more
  const config = { displaylogo: false, displayModeBar: false, responsive: false };
  const INK = '"#1B1F24"', PAPER = '"#FFFFFF"'; // theme.py's, in whose place stand the page's own
  let film = null;
  let inked = {}; // the film's figure in the page's colours, and in which
  let drawing = false, again = false, gone = false;
  let offered = false; // whether Play has had the focus
  let listening = false;
  let camera = null; // of a surface, once the viewer has turned it or the address has said it
  let spoken = 0; // when the live region last spoke
  let noted = null; // what the address said after the last look at it
  const home = window.location.pathname; // another page has an address of its own

  const step = () => Math.max(Number(find(".transport").dataset.step ?? 0), 0);
  const presenting = () => player.classList.contains("presenting");
  const clone = (thing) => JSON.parse(JSON.stringify(thing));

  function scroller() {
    for (let node = player.parentElement; node; node = node.parentElement)
      if (/auto|scroll/.test(getComputedStyle(node).overflowY)) return node;
    return document.scrollingElement;
  }

  /* The figure fills what the window leaves under its own top, so that the story needs no scrolling. */
  function height() {
    if (player.dataset.tall && !presenting()) return Number(player.dataset.tall); // a host that scrolls past it
    const holder = scroller(), inner = presenting() ? 0 : holder.scrollTop;
    const top = graph.getBoundingClientRect().top + inner;
    return Math.round(Math.min(Math.max(window.innerHeight - top - 10, 500), presenting() ? 4000 : 1100));
  }

  /* The same with larger type; what a film holds is not touched. */
  function scaled(node, factor) {
    const parts = Object.entries(node).map(([key, value]) => {
      if (!value || typeof value !== "object" || Array.isArray(value)) return [key, value];
      const part = scaled(value, factor);
      if (/font$/i.test(key) && typeof value.size === "number") part.size = Math.round(value.size * factor);
      return [key, part];
    });
    return Object.fromEntries(parts);
  }

  /* Room above every panel for the larger type of its title. */
  function spread(layout) {
    for (const [key, axis] of Object.entries(layout)) {
      if (!/^yaxis/.test(key) || !axis.domain) continue;
      const [low, high] = axis.domain, tall = high - low;
      axis.domain = [low + 0.02 * tall, high - 0.14 * tall];
    }
    return layout;
  }

  /* The film's figure with the page's own colours of text and ground. */
  function figure() {
    const { color } = getComputedStyle(player), ground = getComputedStyle(player).backgroundColor;
    if (inked.of !== film || inked.color !== color || inked.ground !== ground) {
      const text = JSON.stringify(film.figure).replaceAll(INK, `"${color}"`).replaceAll(PAPER, `"${ground}"`);
      inked = { of: film, color, ground, figure: JSON.parse(text) };
    }
    return inked.figure;
  }

  /* The figure as it is at a step: the frame's properties over those of the traces that move. */
  function at(wanted) {
    const narrow = film.figure.narrow && graph.clientWidth < NARROW;
    const data = figure().data.map((trace) => ({ ...trace }));
    const frame = film.frames[Math.min(wanted, film.frames.length - 1)];
    frame?.data.forEach((change, k) => Object.assign(data[frame.traces[k]], change));
    const layout = clone((narrow && figure().narrow) || (presenting() && figure().large) || figure().layout);
    if (camera && layout.scene) layout.scene.camera = { ...layout.scene.camera, ...camera };
    layout.width = graph.clientWidth;
    const { fontFamily: family } = getComputedStyle(player);
    layout.font = { ...layout.font, family };
    if (layout.hoverlabel) layout.hoverlabel.font = { ...layout.hoverlabel.font, family };
    if (!narrow) layout.height = height();
    layout.meta = { step: Math.min(wanted, film.frames.length - 1) };
    if (!presenting()) return { data, layout, frames: film.frames, config };
    const large = (part) => scaled(part, LARGER);
    for (const side of "lrtb") layout.margin[side] = Math.round(layout.margin[side] * LARGER);
    return { data: data.map(large), layout: narrow || figure().large ? large(layout) : spread(large(layout)), frames: film.frames, config };
  }

  /* So that paper, which has another width, can take the drawing as a whole: see player.css. */
  function fitPaper() {
    const { width, height } = graph._fullLayout;
    for (const layer of graph.querySelectorAll(".main-svg")) layer.setAttribute("viewBox", `0 0 ${width} ${height}`);
  }

  /* The number on a contour that a name lies over is left out: the name can be read, and other numbers remain. */
  function clearNames() {
    const boxes = (selector) => [...player.querySelectorAll(selector)].map((node) => [node, node.getBoundingClientRect()]);
    const names = [...boxes(".textpoint text"), ...boxes(".editor-dot")].filter(([, box]) => box.width > 0);
    const meet = (a, b) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom;
    for (const [label, box] of boxes(".contourlabels text"))
      label.style.visibility = names.some(([, name]) => meet(name, box)) ? "hidden" : "";
  }

  /* A surface stays as the viewer has turned it; Plotly would draw it as the layout first said. */
  function keepCamera() {
    const now = graph._fullLayout?.scene?._scene?.getCamera(), given = graph.layout?.scene?.camera; // no public way to ask
    if (!now || !given || ["x", "y", "z"].every((axis) => Math.abs(now.eye[axis] - given.eye[axis]) < 1e-6)) return;
    camera = graph.layout.scene.camera = clone(now);
  }

  /* Plotly takes the axes of the film before for zoomed ones of this film, and does not fit a map of equal scales into its place;
   * and it keeps the titles of axes out of the room of a legend that is gone. */
  function forgetFilmBefore() {
    if (graph._fullLayout?._reservedMargin) graph._fullLayout._reservedMargin = {};
    for (const [name, axis] of Object.entries(graph._fullLayout ?? {}))
      if (/^[xy]axis/.test(name)) { delete axis._inputRange; delete axis._inputDomain; } // no public way to say so
  }

  /* A frame around what belongs to the lit panel: its axes with their ticks, titles and words, as they were drawn. */
  function light() {
    const full = graph._fullLayout, own = player.getBoundingClientRect(), holder = graph.getBoundingClientRect();
    const boxes = [];
    for (const x of film.lit ?? []) {
      const across = full[`xaxis${x.slice(1)}`], plots = Object.keys(full._plots).filter((id) => id.startsWith(`${x}y`));
      if (!across || !plots.length) continue;
      const ys = plots.map((id) => id.slice(x.length)), up = full._plots[plots[0]].yaxis;
      const left = holder.left + across._offset, top = holder.top + up._offset;
      boxes.push({ left, top, right: left + across._length, bottom: top + up._length });
      const words = [x, ...ys].flatMap((id) => [`.${id}tick text`, `.g-${id}title`]).concat(plots.map((id) => `.subplot.${id} .textpoint text`));
      full.annotations.forEach(({ xref }, k) => { if (xref === `${x} domain`) words.push(`.annotation[data-index="${k}"]`); });
      boxes.push(...[...graph.querySelectorAll(words.join())].map((node) => node.getBoundingClientRect()).filter((box) => box.width > 0));
    }
    frame.hidden = !boxes.length;
    if (!boxes.length) return;
    const least = (side) => Math.min(...boxes.map((box) => box[side])), most = (side) => Math.max(...boxes.map((box) => box[side]));
    const left = Math.max(least("left") - 7, holder.left), right = Math.min(most("right") + 7, holder.right);
    const top = least("top") - 4, bottom = most("bottom") + 5;
    const place = { left: left - own.left, top: top - own.top + player.scrollTop, width: right - left, height: bottom - top };
    for (const [side, px] of Object.entries(place)) frame.style[side] = `${px}px`;
  }

  async function draw() {
    if (!film || gone) return;
    again = true;
    if (drawing) return;
    drawing = true;
    try {
      while (again && !gone) {
        again = false;
        keepCamera();
        if (graph.clientWidth > 0) {
          reserve();
          forgetFilmBefore();
          await Plotly.react(graph, at(step()));
          if (!listening) { // there are no such listeners before the first drawing
            graph.on("plotly_afterplot", clearNames);
            graph.on("plotly_relayout", () => { keepCamera(); note(); });
          }
          listening = true;
          fitPaper();
          editor.place();
          clearNames();
          light();
        }
      }
    } finally {
      drawing = false;
    }
  }

  /* The longest sentence has its room from the start: the figure does not move with the words. */
  function reserve() {
    const longest = (film.said ?? []).reduce((a, b) => (b.length > a.length ? b : a), "");
    const probe = Object.assign(line.cloneNode(), { textContent: longest });
    probe.style.cssText = `position: absolute; visibility: hidden; width: ${line.parentElement.clientWidth}px`;
    line.parentElement.append(probe);
    line.style.minHeight = `${probe.offsetHeight}px`;
    probe.remove();
  }

  function say(instead) {
    const text = instead ?? film?.said?.[Math.min(step(), film.said.length - 1)] ?? "";
    if (line.dataset.text === text) return;
    line.dataset.text = text;
    line.textContent = text.replaceAll(" %", "\u00a0%");
    const speak = () => { if (film.cursor && !bar.leads()) return; // of players that step together one speaks
      find(".player-live").textContent = line.dataset.text; spoken = Date.now(); };
    clearTimeout(say.later);
    say.later = setTimeout(speak, Math.max(0, 1000 - (Date.now() - spoken))); // at most once a second
  }

  function fillTable() {
    const cell = (tag, text) => { const made = document.createElement(tag); made.textContent = text; return made; };
    const body = document.createElement("table");
    if (!film.table) return table.replaceChildren();
    const head = body.createTHead().insertRow();
    film.table.head.forEach((text) => { const made = cell("th", text); made.scope = "col"; head.append(made); });
    const rows = body.createTBody();
    for (const row of film.table.rows) {
      const made = rows.insertRow();
      row.forEach((text, k) => { const one = cell(k ? "td" : "th", text); if (!k) one.scope = "row"; made.append(one); });
    }
    table.replaceChildren(body);
  }

  function toggle(name, on) {
    player.classList.toggle(name, on);
    if (on && !player.querySelector(":focus")) find('[data-go="play"]').focus({ preventScroll: true });
    draw();
  }

  async function fullscreen() {
    if (document.fullscreenElement) await document.exitFullscreen();
    else if (presenting()) toggle("presenting", false); // where a browser has no full screen, as on a telephone
    else { toggle("presenting", true); await player.requestFullscreen?.().catch(() => {}); }
  }

  /* A camera as the address has it: its eye, and where they are not the usual ones its centre and the way up, three numbers each. */
  const CAMERA = ["eye", "center", "up"];
  function cameraText() {
    const usual = film.figure.layout.scene?.camera ?? {};
    const text = (part, from) => ["x", "y", "z"].map((axis) => Number((from[part]?.[axis] ?? (part === "up" && axis === "z" ? 1 : 0)).toFixed(3)));
    const [eye, ...rest] = CAMERA.map((part) => text(part, { ...usual, ...camera }).join(","));
    return rest.every((said, k) => said === text(CAMERA[k + 1], usual).join(",")) ? eye : [eye, ...rest].join(",");
  }

  /* The camera that the address says; null where it says none from which anything could be seen. */
  function cameraSaid(name) {
    const said = (new URLSearchParams(window.location.search).get(name) ?? "").split(",").map((part) => (part.trim() ? Number(part) : NaN));
    if (![3, 9].includes(said.length) || !said.every((value) => Math.abs(value) <= 20)) return null;
    const [eye, center = [0, 0, 0], up = [0, 0, 1]] = [0, 3, 6].map((k) => said.slice(k, k + 3)).filter((part) => part.length);
    const [x, y, z] = eye.map((value, k) => value - center[k]);
    const across = Math.hypot(y * up[2] - z * up[1], z * up[0] - x * up[2], x * up[1] - y * up[0]);
    if (Math.hypot(x, y, z) < 0.1 || across < 0.01) return null; // inside what is looked at, or looking along the way up
    const parts = CAMERA.slice(0, said.length / 3).map((part, k) => [part, { x: said[3 * k], y: said[3 * k + 1], z: said[3 * k + 2] }]);
    return Object.fromEntries(parts);
  }

  const stepSaid = (name) => Math.max(Math.trunc(Number(new URLSearchParams(window.location.search).get(name))) || 0, 0);

  /* Step and camera in the address, so that a copy of it opens there; the first ones are not said. */
  function note() {
    clearTimeout(note.later);
    note.later = setTimeout(() => {
      if (!film || gone || !player.isConnected || window.location.pathname !== home) return;
      const here = new URL(window.location.href), wished = bar.wished();
      if (film.address && wished > 0) here.searchParams.set(film.address, wished);
      else if (film.address && wished === 0) here.searchParams.delete(film.address);
      if (film.camera && camera) here.searchParams.set(film.camera, cameraText());
      readdress(here);
    }, 400); // browsers refuse many of these in a short time
  }

  function readdress(here) {
    if (here.href !== window.location.href) window.history.replaceState(window.history.state, "", here.href);
    noted = window.location.search;
  }

  /* The host may have written its address anew, of which it knows only what it wrote before. */
  function lookUp() {
    if ((film?.address || film?.camera) && noted !== window.location.search) { noted = window.location.search; note(); }
  }

  const more = {
    table: () => { const hidden = table.toggleAttribute("hidden"); find('[data-more="table"]').setAttribute("aria-expanded", !hidden); },
    full: fullscreen,
  };
  const onClick = (event) => { const button = event.target.closest("[data-more]"); if (button) more[button.dataset.more](); };

  /* A click, not a drag, on the plane: its place in the plane's own coordinates. */
  function onPlane(event) {
    const full = graph._fullLayout; // Plotly has no public way from pixels to coordinates
    if (!film?.picks || !full?._plots?.[film.picks]) return;
    const { xaxis, yaxis } = full._plots[film.picks], box = graph.getBoundingClientRect();
    const x = xaxis.p2d(event.clientX - box.left - xaxis._offset), y = yaxis.p2d(event.clientY - box.top - yaxis._offset);
    const inside = (axis, value) => value >= Math.min(...axis.range) && value <= Math.max(...axis.range);
    if (inside(xaxis, x) && inside(yaxis, y)) (film.edits ? editor.click : onPick)([x, y]);
  }

  function onKey(event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) return;
    const focus = event.composedPath()[0];
    if (focus instanceof Element && focus.closest("input:not([type=range]), textarea, select, [contenteditable]")) return;
    if (!bar.leads()) return;
    const p = event.key === "p" || event.key === "P";
    if (p && player.dataset.keys === "focus") fullscreen(); // the host may keep it from filling the window
    else if (p) toggle("presenting", !presenting());
    else if (event.key === "Escape" && presenting()) toggle("presenting", false);
    else return;
    event.preventDefault();
  }

  const onFull = () => { if (!document.fullscreenElement && presenting()) toggle("presenting", false); else draw(); };
  const onColour = (event) => event.target === player && event.propertyName === "color" && draw(); // another theme
  let size = "";
  const watch = new ResizeObserver(() => {
    const now = `${graph.clientWidth}x${window.innerHeight}`;
    if (now !== size) { size = now; draw(); }
  });
  const words = (at, last) => film?.counts?.[at] ?? `step ${at} / ${last}`;
  const bar = mountTransport(root, () => (graph._transitionData?._frames?.length ? graph : null), { words, redraw: draw });
  const editor = mountEditor(player, graph, { step, say, onEdit });
  const steps = new MutationObserver(() => { say(); note(); });
  steps.observe(find(".transport"), { attributes: true, attributeFilter: ["data-step"] });
  watch.observe(graph);
  const lookout = setInterval(lookUp, 500);
  window.addEventListener("resize", draw);
  document.addEventListener("fullscreenchange", onFull);
  document.addEventListener("keydown", onKey);
  player.addEventListener("click", onClick);
  player.addEventListener("transitionend", onColour);
  graph.addEventListener("click", onPlane, true);

  return {
    update(next) {
      if (!film && next.address) bar.wish(stepSaid(next.address));
      if (!film && next.camera) camera = cameraSaid(next.camera);
      const another = next.story && next.story !== film?.story;
      film = next;
      if (another) bar.restart(next.opens, Math.max(next.frames.length, 1));
      editor.show(film);
      player.setAttribute("aria-label", film.name);
      find(".transport").dataset.cursor = film.cursor ?? "";
      bar.render();
      waiting.textContent = film.waiting ?? "";
      player.setAttribute("aria-busy", film.waiting ? "true" : "false");
      graph.setAttribute("aria-label", film.about ?? "");
      graph.classList.toggle("picks", Boolean(film.picks));
      fillTable();
      say();
      note();
      // The first thing that can be played is at hand: space plays it, unless the viewer is at something else.
      if (!offered && film.frames.length > 1) {
        offered = true;
        if (document.activeElement === document.body && bar.leads()) find('[data-go="play"]').focus({ preventScroll: true });
      }
      return draw();
    },
    follow: editor.follow,
    destroy() {
      gone = true;
      clearTimeout(note.later);
      clearInterval(lookout);
      if (film?.camera && window.location.pathname === home) { // what is closed is not in the address
        const here = new URL(window.location.href);
        here.searchParams.delete(film.camera);
        readdress(here);
      }
      editor.destroy();
      bar.destroy();
      steps.disconnect();
      watch.disconnect();
      window.removeEventListener("resize", draw);
      document.removeEventListener("fullscreenchange", onFull);
      document.removeEventListener("keydown", onKey);
      Plotly.purge(graph);
    },
  };
}
