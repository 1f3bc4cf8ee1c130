/* The transport bar: drives the frames of a Plotly figure on the page, without asking a server.
 *
 * mountTransport(root, findGraph, { redraw, words }) -> { render(), leads(), wish(step), wished(), restart(step, count), destroy() }
 *   root       an element or shadow root that holds the bar of player.html
 *   findGraph  () => the figure's graph div, or null while there is none
 *   redraw     draws the figure as it is at the bar's data-step; called once more while it draws, it draws the newest step after that
 *   words      (step, last) => what the counter says
 *   wish       a step to begin at, before there is a figure; wished: the step that the viewer asked for last, -1 for none yet
 *
 * Frame k is named "k"; the figure says in layout.meta.step which one it shows. Bars of one page whose data-cursor is the same
 * move together: a step of one is a step of all, and they play as one.
 */
function mountTransport(root, findGraph, { redraw, words }) {
  const find = (selector) => root.querySelector(selector);
  const bar = find(".transport"), range = find("input"), counter = find("output"), speed = find("select");
  const play = find('[data-go="play"]'), figure = find(".player-figure");
  let graph = null; // the graph div that the bar drives at the moment
  let last = -1; // its last step; -1 while there is none
  let step = -1; // the step that is shown, or about to be; -1 before the first figure
  let wished = -1; // the step that the viewer asked for, which a figure that has fewer cannot show; Infinity for the last
  let timer = null;
  let elsewhere = false; // whether another bar of the same cursor plays

  const frameCount = () => graph?._transitionData?._frames?.length ?? 0; // Plotly has no public count of frames
  const shown = () => graph?.layout?.meta?.step;

  // Not the attribute "disabled": a button that has the focus would lose it to the page.
  const able = (button, can) => button.setAttribute("aria-disabled", String(!can));

  function render() {
    const none = last < 0;
    range.max = Math.max(last, 0);
    range.value = Math.max(step, 0);
    range.disabled = last < 1;
    counter.textContent = none ? "step – / –" : words(step, last);
    range.setAttribute("aria-valuetext", counter.textContent);
    for (const name of ["first", "back"]) able(find(`[data-go="${name}"]`), step > 0);
    for (const name of ["forward", "last"]) able(find(`[data-go="${name}"]`), !none && step < last);
    able(play, last > 0);
    const playing = timer !== null || elsewhere;
    play.classList.toggle("playing", playing);
    play.setAttribute("aria-label", playing ? "Pause" : "Play");
    bar.dataset.step = step;
    bar.dataset.last = last;
  }

  // Not Plotly.animate, which takes all that does not move off the page before it draws the whole anew: the figure flickered.
  function draw() {
    if (graph?.isConnected && step >= 0 && step <= last && shown() !== step) redraw();
  }

  function stand(wanted) {
    step = Math.min(Math.max(wanted, 0), last);
    wished = step === last && last > 0 ? Infinity : step;
    render();
    draw();
  }

  function show(wanted) {
    if (last < 0) return;
    elsewhere = false;
    stand(wanted);
    tell();
  }

  function tell() {
    if (!bar.dataset.cursor) return;
    document.dispatchEvent(new CustomEvent("pursamere-step", { detail: { bar, step, playing: timer !== null } }));
  }

  function hear({ detail }) {
    if (detail.bar === bar || !bar.dataset.cursor || detail.bar.dataset.cursor !== bar.dataset.cursor || last < 0) return;
    clearTimeout(timer);
    timer = null;
    elsewhere = detail.playing;
    stand(detail.step);
  }

  function pause() {
    clearTimeout(timer);
    timer = null;
    elsewhere = false;
    render();
    tell();
  }

  function tick() {
    show(step + 1);
    timer = step < last ? setTimeout(tick, Number(speed.value)) : null;
    render();
    tell();
  }

  function toggle() {
    if (timer !== null || elsewhere) return pause();
    if (last < 1) return;
    if (step >= last) show(0);
    timer = setTimeout(tick, Number(speed.value));
    render();
    tell();
  }

  const actions = {
    first: () => show(0),
    back: () => show(step - 1),
    play: toggle,
    forward: () => show(step + 1),
    last: () => show(last),
  };

  function act(name) {
    if (name !== "play") pause();
    actions[name]();
  }

  /* Where the bars of the same cursor stand, if there are any. */
  function together() {
    if (!bar.dataset.cursor) return null;
    const others = [...document.querySelectorAll(`.transport[data-cursor="${bar.dataset.cursor}"]`)];
    const other = others.find((found) => found !== bar && Number(found.dataset.step) >= 0);
    return other ? Number(other.dataset.step) : null;
  }

  // A rerun may bring another figure. Who watches the last step goes on watching the last step; any other step is kept,
  // or clamped where the new figure is shorter.
  function follow() {
    const found = findGraph();
    const count = found?._transitionData?._frames?.length ?? 0;
    if (!found || !count) {
      if (last >= 0 && !found?.isConnected) graph = null;
      return;
    }
    const changed = found !== graph || count - 1 !== last;
    if (changed) {
      graph = found;
      last = frameCount() - 1;
      if (wished < 0) wished = together() ?? (Number.isInteger(shown()) ? shown() : last);
      if (step < 0 && wished === last && last > 0) wished = Infinity;
      step = Math.min(wished, last);
      if (step >= last && timer !== null) pause();
      render();
    }
    draw();
  }

  /* Of several players on a page the keys go to the one that has the focus, else to the one last used, else to the first. */
  function leads() {
    const player = bar.closest(".player");
    if (player.dataset.keys === "focus") return player.contains(document.activeElement); // a host with keys of its own
    const all = [...document.querySelectorAll(".player")];
    return player === (all.find((one) => one.contains(document.activeElement)) ?? all.find((one) => "used" in one.dataset) ?? all[0]);
  }

  function use() {
    for (const one of document.querySelectorAll(".player[data-used]")) delete one.dataset.used;
    bar.closest(".player").dataset.used = "";
  }

  const keys = { ArrowLeft: "back", ArrowRight: "forward", Home: "first", End: "last", " ": "play" };
  const typing = "input:not([type=checkbox]), textarea, select, [contenteditable], [role=slider], [role=textbox], [role=combobox], [role=listbox], " +
    "[role=option], [role=radio], [role=tab], [role=menu], [role=menuitem], [role=spinbutton], [role=dialog], [role=grid], [role=radiogroup], [role=toolbar], [role=group]";

  function onKey(event) {
    const name = keys[event.key];
    if (!name || event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey || !leads()) return;
    const path = event.composedPath();
    const focus = path[0] instanceof Element ? path[0] : document.body;
    const alone = bar.closest(".presenting") && focus === document.body;
    if (path.includes(bar)) {
      if (focus === speed || (event.key === " " && focus !== range)) return;
    } else if (path.includes(figure) || alone) {
      // The figure is the bar's.
    } else if (!event.key.startsWith("Arrow")) {
      return; // Space, Home and End scroll the page
    } else if (path.some((element) => element instanceof Element && element.matches(typing))) {
      return;
    }
    event.preventDefault();
    act(name);
  }

  function onClick(event) {
    const button = event.target.closest("[data-go]");
    if (button && button.getAttribute("aria-disabled") !== "true") act(button.dataset.go);
  }

  function onSlide() {
    const wanted = Number(range.value); // before pause() sets the slider to the present step
    pause();
    show(wanted);
  }

  bar.closest(".player").addEventListener("pointerdown", use);
  document.addEventListener("pursamere-step", hear);
  bar.addEventListener("click", onClick);
  range.addEventListener("input", onSlide);
  document.addEventListener("keydown", onKey);
  const watch = setInterval(follow, 100);
  render();
  follow();

  /* Another story begins, at this step of so many (-1 is the last), whatever the viewer asked for in the one before. */
  function restart(to, count) {
    clearTimeout(timer);
    timer = null;
    last = count - 1;
    step = to < 0 ? last : Math.min(to, last);
    wished = to < 0 ? Infinity : step;
    render();
  }

  return {
    render,
    leads,
    wish(wanted) { if (wished < 0) wished = wanted; },
    wished: () => (wished === Infinity ? last : wished),
    restart,
    destroy() {
      clearInterval(watch);
      clearTimeout(timer);
      document.removeEventListener("keydown", onKey);
      document.removeEventListener("pursamere-step", hear);
      bar.removeEventListener("click", onClick);
      range.removeEventListener("input", onSlide);
    },
  };
}
