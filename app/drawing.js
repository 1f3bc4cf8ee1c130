/* A canvas to draw on with mouse, finger or pen. Strokes are lists of points [x, y] in shares of the side; a drawing is handed
 * on when the pen has been up for PAUSE. White on black in every theme, as the networks see it. */
const PAUSE = 500; // ms: shorter than a pause between two digits, longer than one between two strokes
const PEN = 0.06; // of the side, to look at; the image is drawn with the data set's own pen

function mountDrawing(root, strokes, hand) {
  const find = (selector) => root.querySelector(selector);
  const canvas = find("canvas"), brush = canvas.getContext("2d");
  let stroke = null, later = 0;

  function paint() {
    const side = canvas.width;
    brush.fillStyle = "#000";
    brush.fillRect(0, 0, side, side);
    Object.assign(brush, { strokeStyle: "#fff", lineWidth: PEN * side, lineCap: "round", lineJoin: "round" });
    for (const line of strokes) {
      brush.beginPath();
      line.forEach(([x, y], k) => (k ? brush.lineTo(x * side, y * side) : brush.moveTo(x * side, y * side)));
      if (line.length === 1) brush.lineTo(line[0][0] * side, line[0][1] * side);
      brush.stroke();
    }
    for (const button of root.querySelectorAll("button")) button.disabled = !strokes.length;
    find(".drawing-hint").hidden = strokes.length > 0;
  }

  function place(event) {
    const box = canvas.getBoundingClientRect();
    const share = (value, low, size) => Math.min(Math.max(Math.round(((value - low) / size) * 1e4) / 1e4, 0), 1);
    return [share(event.clientX, box.left, box.width), share(event.clientY, box.top, box.height)];
  }

  function changed() {
    paint();
    clearTimeout(later);
    if (strokes.length) later = setTimeout(() => hand(strokes), PAUSE);
  }

  canvas.addEventListener("pointerdown", (event) => {
    if (event.button || stroke) return;
    event.preventDefault();
    canvas.setPointerCapture(event.pointerId);
    clearTimeout(later);
    stroke = { pointer: event.pointerId, points: [place(event)] };
    strokes.push(stroke.points);
    paint();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    const all = event.getCoalescedEvents?.() ?? [];
    for (const one of all.length ? all : [event]) {
      const next = place(one), last = stroke.points.at(-1);
      if (Math.hypot(next[0] - last[0], next[1] - last[1]) > 0.004) stroke.points.push(next);
    }
    paint();
  });
  const end = (event) => {
    if (stroke?.pointer !== event.pointerId) return;
    stroke = null;
    changed();
  };
  canvas.addEventListener("pointerup", end);
  canvas.addEventListener("pointercancel", end);
  find('[data-draw="undo"]').addEventListener("click", () => { strokes.pop(); changed(); });
  find('[data-draw="clear"]').addEventListener("click", () => { strokes.length = 0; changed(); });
  paint();
}
