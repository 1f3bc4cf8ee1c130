/* The maps of a Gaussian mixture in the plane: the library's formulas once more, in typed arrays, for what is dragged.
 *
 * rows    [weight, x, y, var_x, cov_xy, var_y, label] of each component; weights need not sum to 1
 * rule    { nodes, weights } on one axis; the noise rule of the plane is its product with itself
 * fields  a Float64Array over the grid xs x ys, one row of xs for each of ys
 *
 * tests/browser/test_mixture.py holds them to the library.
 */

/* Components smoothed with sigma: centre, Cholesky factor [[a, 0], [b, c]] of the covariance, log of the weighted peak. */
function smoothedComponents(rows, sigma) {
  const total = rows.reduce((sum, row) => sum + row[0], 0);
  return rows.map(([weight, x, y, varX, cov, varY, label]) => {
    const a = Math.sqrt(varX + sigma * sigma), b = cov / a, c = Math.sqrt(varY + sigma * sigma - b * b);
    return { x, y, a, b, c, label, peak: Math.log(weight / total / (2 * Math.PI * a * c)) };
  });
}

/* sigma^2 grad log p_s, how far the denoiser moves each point of the grid: a field for each coordinate. */
function denoiserMoves(rows, sigma, xs, ys) {
  const parts = smoothedComponents(rows, sigma), count = parts.length, variance = sigma * sigma;
  const alongX = parts.map(({ x, a }) => xs.map((value) => (value - x) / a));
  const moveX = new Float64Array(xs.length * ys.length), moveY = new Float64Array(xs.length * ys.length);
  const logs = new Float64Array(count), alongY = new Float64Array(count);
  let at = 0;
  for (const y of ys) {
    for (let i = 0; i < xs.length; i++, at++) {
      let top = -Infinity;
      for (let k = 0; k < count; k++) {
        const part = parts[k], u = alongX[k][i], v = (y - part.y - part.b * u) / part.c;
        alongY[k] = v;
        logs[k] = part.peak - (u * u + v * v) / 2;
        if (logs[k] > top) top = logs[k];
      }
      let all = 0, sumX = 0, sumY = 0;
      for (let k = 0; k < count; k++) {
        if (logs[k] < top - 40) continue; // below the rounding of the others
        const part = parts[k], share = Math.exp(logs[k] - top), v = alongY[k] / part.c;
        all += share;
        sumX -= (share * (alongX[k][i] - part.b * v)) / part.a;
        sumY -= share * v;
      }
      moveX[at] = (variance * sumX) / all;
      moveY[at] = (variance * sumY) / all;
    }
  }
  return [moveX, moveY];
}

/* Every value + sigma * node once, ascending, and where among them those of each value are. */
function withNoise(values, sigma, nodes) {
  const all = Array.from(values).flatMap((value) => nodes.map((node) => value + sigma * node));
  const order = Array.from(all.keys()).sort((i, j) => all[i] - all[j]);
  const tolerance = 1e-11 * (1 + Math.abs(all[order[0]]) + Math.abs(all[order.at(-1)]));
  const places = new Int32Array(all.length), once = [];
  for (const i of order) {
    if (!(all[i] - once.at(-1) < tolerance)) once.push(all[i]);
    places[i] = once.length - 1;
  }
  return [Float64Array.from(once), places];
}

/* The expected reconstruction error E ||D(x + sigma noise) - x||^2 on the grid.
 *
 * A point plus noise is denoised once, however many points of the grid share it: on axes of sharedAxis most do. With
 * D(y) = y + d(y) the square is |d|^2 + 2 sigma noise . d + sigma^2 |noise|^2, which is summed along x and then along y. */
function errorMap(rows, sigma, { nodes, weights }, xs, ys) {
  const [allX, placesX] = withNoise(xs, sigma, nodes), [allY, placesY] = withNoise(ys, sigma, nodes);
  const [moveX, moveY] = denoiserMoves(rows, sigma, allX, allY);
  const order = nodes.length, wide = xs.length;
  const pulls = nodes.map((node, m) => 2 * sigma * weights[m] * node);
  const squares = new Float64Array(wide * allY.length), across = new Float64Array(wide * allY.length);
  for (let j = 0, at = 0; j < allY.length; j++) {
    for (let i = 0; i < wide; i++, at++) {
      for (let m = 0; m < order; m++) {
        const from = j * allX.length + placesX[i * order + m], x = moveX[from], y = moveY[from];
        squares[at] += weights[m] * (x * x + y * y) + pulls[m] * x;
        across[at] += weights[m] * y;
      }
    }
  }
  const noise = 2 * sigma * sigma * nodes.reduce((sum, node, m) => sum + weights[m] * node * node, 0);
  const values = new Float64Array(wide * ys.length).fill(noise);
  for (let j = 0, at = 0; j < ys.length; j++) {
    for (let i = 0; i < wide; i++, at++) {
      for (let m = 0; m < order; m++) {
        const from = placesY[j * order + m] * wide + i;
        values[at] += weights[m] * squares[from] + pulls[m] * across[from];
      }
    }
  }
  return values;
}

/* About `count` equal steps that cover [low, high], so wide that points plus noise fall on one another. */
function sharedAxis(low, high, count, sigma, nodes) {
  const wanted = (high - low) / (count - 1), apart = sigma * (nodes[1] - nodes[0]);
  const step = apart > wanted ? apart / Math.round(apart / wanted) : apart * Math.round(wanted / apart);
  const steps = Math.ceil((high - low) / step - 1e-9);
  const first = (low + high - steps * step) / 2;
  return Float64Array.from({ length: steps + 1 }, (_, i) => first + i * step);
}

/* log p_s(x, class) on the grid, a field for each class 0 .. the largest label; sigma 0 for p itself. */
function classLogProbs(rows, sigma, xs, ys) {
  const parts = smoothedComponents(rows, sigma), classes = 1 + Math.max(...rows.map((row) => row[6]));
  return Array.from({ length: classes }, (_, label) => {
    const own = parts.filter((part) => part.label === label), values = new Float64Array(xs.length * ys.length);
    const logs = new Float64Array(own.length);
    let at = 0;
    for (const y of ys) {
      for (const x of xs) {
        let top = -Infinity, all = 0;
        own.forEach((part, k) => {
          const u = (x - part.x) / part.a, v = (y - part.y - part.b * u) / part.c;
          logs[k] = part.peak - (u * u + v * v) / 2;
          top = Math.max(top, logs[k]);
        });
        for (const value of logs) all += Math.exp(value - top);
        values[at++] = own.length ? top + Math.log(all) : -Infinity;
      }
    }
    return values;
  });
}

/* Add to a path the lines where a field takes the values start, start + size, ... (marching squares). */
function contourLines(path, values, xs, ys, { start, size }) {
  const wide = xs.length;
  for (let j = 0; j + 1 < ys.length; j++) {
    for (let i = 0; i + 1 < wide; i++) {
      const at = j * wide + i, a = values[at], b = values[at + 1], c = values[at + wide + 1], d = values[at + wide];
      const last = Math.floor((Math.max(a, b, c, d) - start) / size);
      for (let n = Math.ceil((Math.min(a, b, c, d) - start) / size); n <= last; n++) {
        const level = start + n * size, ends = [];
        const part = (from, to) => (level - from) / (to - from);
        if (a > level !== b > level) ends.push(xs[i] + part(a, b) * (xs[i + 1] - xs[i]), ys[j]);
        if (b > level !== c > level) ends.push(xs[i + 1], ys[j] + part(b, c) * (ys[j + 1] - ys[j]));
        if (d > level !== c > level) ends.push(xs[i] + part(d, c) * (xs[i + 1] - xs[i]), ys[j + 1]);
        if (a > level !== d > level) ends.push(xs[i], ys[j] + part(a, d) * (ys[j + 1] - ys[j]));
        // Of four ends (a saddle) those belong together that cut off the corners which the middle is not like.
        if (ends.length === 8 && a + b + c + d > 4 * level !== a > level) ends.unshift(...ends.splice(6));
        ends.forEach((_, k) => { if (k % 4 === 0) { path.moveTo(ends[k], ends[k + 1]); path.lineTo(ends[k + 2], ends[k + 3]); } });
      }
    }
  }
}
