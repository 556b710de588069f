// The series of watts while it goes on: the same picture as the server's, second by second.

const SHOWN_S = 300;
const LEAST_S = 60;
const APART_S = 0.5;
const columns = [[], [], [], [], []]; // time, gross, net's upper end, its lower end, net
let begins = []; // where attempts began: [time, number]
let gaps = [];
let plot = null;
let figure = null;
let last = null;
const sized = new ResizeObserver(([{ target }]) => plot?.setSize({ width: target.clientWidth, height: plot.height }));

function colour(name) {
  const probe = document.body.appendChild(document.createElement("i"));
  probe.style.color = `var(${name})`;
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

function add(power) {
  for (const [at, seconds, net, low, high, gross, , , attempt] of power.points) {
    if (last && at <= last.at) continue;
    if (last && at - seconds - last.at > APART_S) push(last.at + APART_S / 2, null, null, null, null);
    if (last && attempt && attempt !== last.attempt) begins.push([at - seconds, attempt]);
    push(at, gross, high, low, net);
    last = { at, attempt };
  }
  gaps = gaps.concat(power.gaps);
  if (!last) return;
  const oldest = last.at - SHOWN_S;
  const drop = columns[0].findIndex((at) => at >= oldest);
  if (drop > 0) for (const column of columns) column.splice(0, drop);
  begins = begins.filter(([at]) => at >= oldest);
  gaps = gaps.filter(([, end]) => end >= oldest);
}

function push(...values) {
  values.forEach((value, n) => columns[n].push(value));
}

function begun() {
  const now = document.getElementById("watts");
  if (now === figure && plot) return;
  plot?.destroy();
  plot = null;
  figure = now;
  const frame = figure?.querySelector(".frame");
  if (!frame || !window.uPlot || !last) return;
  figure.parentElement.dataset.own = "";
  const height = frame.clientHeight;
  frame.replaceChildren();
  plot = new uPlot(options(frame.clientWidth, height), columns, frame);
  plot.root.setAttribute("aria-hidden", "true");
  sized.disconnect();
  sized.observe(frame);
}

function options(width, height) {
  const [soft, line, accent] = ["--soft", "--line", "--accent"].map(colour);
  const font = `12.5px ${getComputedStyle(document.body).fontFamily}`;
  const axis = { stroke: soft, font, ticks: { show: false }, grid: { stroke: line, width: 1 } };
  const none = { points: { show: false }, stroke: "transparent", width: 0 };
  const left = matchMedia("(max-width: 720px)").matches ? 42 : 52;
  return {
    width,
    height,
    padding: [6, 0, 0, 0],
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
    scales: {
      x: { time: true, range: () => [Math.max(last.at - SHOWN_S, Math.min(last.at - LEAST_S, columns[0][0] - 1)), last.at] },
      y: { range: (_plot, low, high) => [Math.min(0, low ?? 0), Math.max(1, (high ?? 1) * 1.08)] },
    },
    axes: [
      { ...axis, size: 26, gap: 6, space: 50, incrs: [60, 120, 300], grid: { show: false }, values: clocks },
      { ...axis, size: left, gap: 8, space: 52, values: (_plot, watts) => watts.map((w, n) => (n === watts.length - 1 ? `${w} W` : `${w}`)) },
    ],
    series: [
      {},
      { label: "gross", stroke: soft, width: 1.2, points: { show: false } },
      { label: "high", ...none },
      { label: "low", ...none },
      { label: "net", stroke: accent, width: 2, points: { show: false } },
    ],
    bands: [{ series: [2, 3], fill: accent.replaceAll(",", "").replace(")", " / 0.16)") }],
    hooks: {
      drawClear: [(made) => hatched(made, line)],
      draw: [(made) => numbered(made, soft, font)],
      setCursor: [readOut],
    },
  };
}

// Whole minutes, but for those that stand half outside.
function clocks(made, times) {
  const { min, max } = made.scales.x;
  return times.map((at) => {
    const share = (at - min) / (max - min);
    return share > 0.03 && share < 0.95 ? new Date(at * 1000).toISOString().slice(11, 16) : "";
  });
}

function hatched(made, line) {
  const { ctx, bbox } = made;
  ctx.save();
  ctx.beginPath();
  ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
  ctx.clip();
  ctx.strokeStyle = line;
  ctx.lineWidth = 1.4 * devicePixelRatio;
  for (const [began, ended] of gaps) {
    const [from, to] = [began, ended].map((at) => made.valToPos(at, "x", true));
    ctx.save();
    ctx.beginPath();
    ctx.rect(from, bbox.top, to - from, bbox.height);
    ctx.clip();
    ctx.beginPath();
    for (let x = from - bbox.height; x < to; x += 7 * devicePixelRatio) {
      ctx.moveTo(x, bbox.top + bbox.height);
      ctx.lineTo(x + bbox.height, bbox.top);
    }
    ctx.stroke();
    ctx.restore();
  }
  ctx.restore();
}

function numbered(made, soft, font) {
  const { ctx, bbox } = made;
  ctx.save();
  ctx.strokeStyle = ctx.fillStyle = soft;
  ctx.font = font.replace("12.5px", `${12.5 * devicePixelRatio}px`);
  ctx.textBaseline = "top";
  ctx.textAlign = "left";
  ctx.lineWidth = devicePixelRatio;
  ctx.globalAlpha = 0.8;
  const places = begins.map(([at]) => made.valToPos(at, "x", true));
  begins.forEach(([, number], n) => {
    if (places[n] < bbox.left) return;
    ctx.setLineDash([2 * devicePixelRatio, 3 * devicePixelRatio]);
    ctx.beginPath();
    ctx.moveTo(places[n], bbox.top);
    ctx.lineTo(places[n], bbox.top + bbox.height);
    ctx.stroke();
    const room = (places[n + 1] ?? bbox.left + bbox.width) - places[n];
    if (ctx.measureText(`#${number}`).width + 10 * devicePixelRatio < room) {
      ctx.fillText(`#${number}`, places[n] + 5 * devicePixelRatio, bbox.top + 2);
    }
  });
  ctx.restore();
}

function readOut(made) {
  const at = made.cursor.idx;
  const out = figure?.querySelector(".readout");
  if (!out) return;
  const net = at === null || at === undefined ? null : columns[4][at];
  const time = net === null ? "" : new Date(columns[0][at] * 1000).toISOString().slice(11, 19);
  const watts = (n) => columns[n][at].toFixed(1);
  out.textContent = net === null ? "" : `${time} UTC: net ${watts(4)} W, ${watts(3)} to ${watts(2)} W; gross ${watts(1)} W`;
}

document.addEventListener("cryoflux-power", (event) => {
  add(event.detail);
  begun();
  plot?.setData(columns);
});
// Colours are the scheme's, and are drawn into a canvas: another scheme, another canvas.
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  figure = plot ? null : figure;
  begun();
});
