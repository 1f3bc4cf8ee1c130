/* A lesson's page: one step at a time, its text and its figure; the address says which ("#3"). Everything it needs is in LESSON. */
(function () {
  const steps = [...document.querySelectorAll(".step")];
  const host = document.querySelector("figure.live"), still = document.querySelector("figure.bench");
  const bar = document.querySelector("progress"), place = document.querySelector(".place");
  const back = document.querySelector("button.back"), next = document.querySelector("button.next");
  const known = {}; // answers, by step
  let player = null, now = -1;

  const wished = () => Math.min(Math.max(parseInt(location.hash.slice(1)) || 1, 1), steps.length) - 1;

  function draw() {
    const state = LESSON.states[now], film = now in known ? state.answered ?? state.film : state.film;
    host.hidden = !film;
    host.classList.toggle("still", film?.frames.length === 0);
    host.parentElement.classList.toggle("upside-down", state.first === "checklist");
    const html = now in known ? state.answered_html ?? state.html : state.html;
    still.hidden = !html;
    still.innerHTML = html ?? "";
    if (!film) return;
    player ??= mountPlayer(host, Plotly, guess);
    player.update({ ...film, story: String(now + 1) });
  }

  function show() {
    const wish = wished();
    if (wish === now) return;
    now = wish;
    steps.forEach((step, k) => { step.hidden = k !== now; });
    bar.value = now + 1;
    place.textContent = `Step ${now + 1} of ${steps.length}`;
    back.disabled = now === 0 && !LESSON.before;
    next.disabled = now === steps.length - 1 && !LESSON.after;
    next.textContent = now === steps.length - 1 ? "Next lesson" : "Next";
    document.title = `${steps[now].querySelector("h1").textContent} · ${LESSON.title}`;
    draw();
  }

  function go(by) {
    const wish = now + by;
    if (wish < 0) { if (LESSON.before) location.href = LESSON.before; }
    else if (wish >= steps.length) { if (LESSON.after) location.href = LESSON.after; }
    else location.hash = wish + 1;
  }

  function reveal(said) {
    known[now] = said;
    const answer = steps[now].querySelector(".answer");
    answer.querySelector(".verdict").textContent = said;
    answer.hidden = false;
    steps[now].querySelector("button.reveal")?.remove();
    draw();
  }

  function guess(spot) {
    const end = LESSON.states[now].end;
    if (!end || now in known) return;
    const miss = Math.hypot(spot[0] - end[0], spot[1] - end[1]);
    reveal(`Your guess is ${miss.toPrecision(2)} from the end of the path. `);
  }

  back.addEventListener("click", () => go(-1));
  next.addEventListener("click", () => go(1));
  window.addEventListener("hashchange", show);
  window.addEventListener("keydown", (event) => {
    if (event.key === "PageDown" || event.key === "PageUp") { event.preventDefault(); go(event.key === "PageDown" ? 1 : -1); }
  });
  for (const step of steps) {
    step.querySelector("button.reveal")?.addEventListener("click", () => reveal(""));
    for (const choice of step.querySelectorAll("input[type=radio]"))
      choice.addEventListener("change", () => reveal(choice.hasAttribute("data-right") ? "Right. " : "Not so. "));
  }
  show();
})();
