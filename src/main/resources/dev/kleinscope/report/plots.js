// Line plots, drawn by Chart.js.

Chart.defaults.animation = false;
Chart.defaults.font.family = getComputedStyle(document.body).fontFamily;
Chart.defaults.font.size = 11.5;

const superscript = (power) => String(power).replace("-", "\u207b")
  .replace(/\d/g, (digit) => "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079"[digit]);

function logTicks(min, max) {
  const ticks = [];
  const span = Math.log10(max / min);
  const multiples = span < 2.1 ? [1, 2, 5] : span < 3.1 ? [1, 3] : [1];
  const stride = Math.max(1, Math.ceil(span / 6));
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power++) {
    for (const multiple of multiples) {
      const value = multiple * 10 ** power;
      if (power % stride === 0 && value >= min * 0.999 && value <= max * 1.001) {
        ticks.push(value);
      }
    }
  }
  return ticks;
}

/** One way of writing for the whole axis: 1,000 beside 10,000, or powers of ten where those grow long. */
function logLabels(ticks) {
  const plain = ticks.every((value) => value >= 0.00099 && value < 1e6);
  return (value) => {
    if (plain) {
      return value.toLocaleString("en", { maximumFractionDigits: 4 });
    }
    const power = Math.floor(Math.log10(value) + 1e-9);
    const multiple = Math.round(value / 10 ** power);
    return (multiple === 1 ? "" : multiple + "\u00b7") + "10" + superscript(power);
  };
}

/** Round ratios on an axis of logarithms: 0.96, 0.98, 1, 1.02, 1.04, or 1/4, 1/2, 1, 2, 4 where differences are large. */
function ratioTicks(limit) {
  if (limit > Math.log(3)) {
    const base = limit > Math.log(100) ? 10 : 2;
    const reach = Math.floor(limit / Math.log(base));
    const stride = Math.max(1, Math.ceil(reach / 3));
    return Array.from({ length: 2 * Math.floor(reach / stride) + 1 },
      (_, i) => base ** (stride * (i - Math.floor(reach / stride))));
  }
  const step = [0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1].find((size) => (Math.exp(limit) - Math.exp(-limit)) / size <= 7);
  const ticks = [];
  for (let i = Math.ceil((Math.exp(-limit) - 1) / step - 1e-9); 1 + i * step <= Math.exp(limit) + 1e-9; i++) {
    ticks.push(1 + i * step);
  }
  return ticks;
}

/** Half the height of a ratio axis, in logarithms: all that is drawn, and never less than 5% to both sides. */
function ratioLimit(values) {
  return Math.max(Math.log(1.05), 1.08 * Math.max(0, ...values.map(Math.abs)));
}

const axes = {
  log(title, values) {
    const positive = values.filter((value) => value > 0);
    let min = Math.min(...positive) / 1.3;
    let max = Math.max(...positive) * 1.3;
    if (!positive.length) {
      [min, max] = [0.1, 10];
    } else if (max / min < 10) {
      // Ten to one at least, or chance would fill the panel.
      const middle = Math.sqrt(min * max);
      [min, max] = [middle / Math.sqrt(10), middle * Math.sqrt(10)];
    }
    const ticks = logTicks(min, max);
    return { type: "logarithmic", title, min, max, ticks, label: logLabels(ticks), show: readable };
  },
  ratio(title, values) {
    const limit = ratioLimit(values);
    return {
      type: "linear", title, min: -limit, max: limit, ticks: ratioTicks(limit).map(Math.log), reference: 0,
      label: (value) => (limit < Math.log(3) ? Math.exp(value).toFixed(2) : readable(Number(Math.exp(value).toPrecision(3)))),
      show: (value) => `${Math.exp(value).toFixed(4)} (${percent(Math.expm1(value), 2)})`,
    };
  },
  share(title) {
    return {
      type: "linear", title, min: 0, max: 1.05, ticks: [0, 0.25, 0.5, 0.75, 1],
      label: (value) => `${Math.round(100 * value)}\u2009%`, show: (value) => `${(100 * value).toFixed(2)}\u2009%`,
    };
  },
};

function roundStep(least) {
  const power = 10 ** Math.floor(Math.log10(least));
  return [1, 2, 5, 10].map((multiple) => multiple * power).find((size) => size >= least * 0.999);
}

/** An axis from min to max, both widened to the next of about five round steps, in the unit that the values have. */
function plainAxis(title, min, max, { reference, step = roundStep((max - min) / 5) } = {}) {
  const first = Math.floor(min / step + 1e-9);
  const last = Math.ceil(max / step - 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  return {
    type: "linear", title, min: first * step, max: last * step, reference,
    ticks: Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step),
    label: (value) => (digits ? fixed(value, digits) : Math.round(value).toLocaleString("en").replace("-", "\u2212")),
    show: readable,
  };
}

/** Every so many labels that they do not touch; S0 gives way to D4, its neighbour. */
function labelled(names, width) {
  const room = names.length * 30 / Math.max(width, 1);
  const stride = [1, 2, 4, 5, 10, 20].find((step) => step >= room) || 50;
  let sinceLast = stride;
  return names.map((name, i) => {
    const number = /^[DS](\d+)$/.exec(name);
    const wanted = number ? Number(number[1]) % stride === 0 : i % stride === 0;
    const shown = wanted && (sinceLast >= stride || stride === 1);
    sinceLast = shown ? 1 : sinceLast + 1;
    return shown ? name : "";
  });
}

// Told apart by mark and stroke as well as by colour. Where safe and extreme coincide, the one shows in the gaps of the other.
const strokes = {
  safe: { mark: "circle", dash: [], width: 2, radius: 3.8, layer: 1, hollow: true },
  extreme: { mark: "triangle", dash: [5, 5], width: 2, radius: 2.8, layer: 0 },
  ink: { mark: "circle", dash: [], width: 1.6, radius: 2.2, layer: 0 },
  third: { mark: "circle", dash: [], width: 1.6, radius: 2.4, layer: 0 },
  fourth: { mark: "rect", dash: [3, 3], width: 1.6, radius: 2.8, layer: 0 },
  fifth: { mark: "triangle", dash: [8, 3], width: 1.6, radius: 2.8, layer: 0 },
  each: { mark: "circle", dash: [], width: 1, radius: 0, layer: 1 },
};

function datasets(lines) {
  return lines.flatMap((line) => {
    const ink = line.tint ? translucent(colour(line.tint), 0.45) : colour(line.style);
    const { mark, dash, width, radius, layer, hollow } = strokes[line.style];
    const plain = { borderColor: ink, backgroundColor: ink, borderWidth: width, borderDash: dash, pointStyle: mark,
      pointRadius: radius, pointHoverRadius: radius + 1.5, pointBorderWidth: hollow ? 1.5 : 0,
      pointBackgroundColor: hollow ? colour("surface") : ink, borderJoinStyle: "round", order: layer, clip: 5,
      label: line.label, data: line.values };
    if (!line.low) {
      return [plain];
    }
    const edge = { pointRadius: 0, pointHitRadius: 0, pointHoverRadius: 0, borderWidth: 0, order: 2, silent: true };
    return [{ ...edge, data: line.low }, { ...edge, data: line.high, fill: "-1", backgroundColor: translucent(ink, 0.2) }, plain];
  });
}

/** Rules at the value that means nothing happened and between the double and the single blocks. */
const rules = {
  id: "rules",
  beforeDatasetsDraw(chart, _, options) {
    const { ctx, chartArea: area, scales } = chart;
    ctx.save();
    ctx.strokeStyle = options.ink;
    ctx.lineWidth = 1;
    if (options.divided > 0) {
      const sides = [options.divided - 1, options.divided].map((place) => scales.x.getPixelForValue(place));
      const x = Math.round((sides[0] + sides[1]) / 2) + 0.5;
      ctx.setLineDash([2, 3]);
      ctx.beginPath();
      ctx.moveTo(x, area.top);
      ctx.lineTo(x, area.bottom);
      ctx.stroke();
    }
    if (options.reference !== undefined) {
      const y = Math.round(scales.y.getPixelForValue(options.reference)) + 0.5;
      ctx.setLineDash([]);
      ctx.beginPath();
      ctx.moveTo(area.left, y);
      ctx.lineTo(area.right, y);
      ctx.stroke();
    }
    ctx.restore();
  },
};

/** Draws lines of { label, style, values, low, high } over names; axis is one of axes. */
function linePlot(canvas, names, axis, lines) {
  const long = names.some((name) => name.length > 6);
  return plot(canvas, axis, datasets(lines), names, {
    offset: long,
    grid: { display: false },
    ticks: {
      autoSkip: long, minRotation: long ? 40 : 0, maxRotation: long ? 60 : 0,
      callback(_, i) {
        return long ? names[i] : labelled(names, this.chart.width - 60)[i];
      },
    },
  }, names.findIndex((name) => /^S\d/.test(name)));
}

/** What every plot has in common; x is the horizontal scale where it differs, divided where a dotted rule stands. */
function plot(canvas, axis, sets, labels, x, divided = -1) {
  const muted = colour("muted");
  return new Chart(canvas, {
    type: "line",
    data: { labels, datasets: sets },
    plugins: [rules],
    options: {
      maintainAspectRatio: false,
      devicePixelRatio: "printing" in root.dataset ? 3 : undefined,
      interaction: { mode: "index", intersect: false },
      scales: {
        x: { border: { color: colour("rule") }, ...x, ticks: { color: muted, ...x.ticks } },
        y: {
          type: axis.type, min: axis.min, max: axis.max,
          title: { display: true, text: axis.title, color: muted },
          grid: { color: colour("grid"), drawTicks: false },
          border: { display: false },
          afterBuildTicks: (scale) => {
            scale.ticks = axis.ticks.map((value) => ({ value }));
          },
          ticks: { color: muted, padding: 6, autoSkip: false, callback: axis.label },
        },
      },
      plugins: {
        legend: { display: false },
        rules: { ink: muted, reference: axis.reference, divided },
        tooltip: {
          usePointStyle: true,
          filter: (item) => !item.dataset.silent,
          callbacks: { label: (item) => ` ${item.dataset.label} ${axis.show(item.parsed.y)}`, ...axis.tooltip },
        },
      },
    },
  });
}

/** A line of the legend, with the stroke and the mark of the plot. */
function legendEntry(style, text, band = false) {
  const svg = (name, attributes) => {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    Object.entries(attributes).forEach(([key, value]) => made.setAttribute(key, value));
    return made;
  };
  const key = svg("svg", { class: `key ${style}`, viewBox: "0 0 28 12", "aria-hidden": "true" });
  if (band) {
    key.append(svg("rect", { class: "band", x: 0, y: 1, width: 28, height: 10 }));
  }
  const { mark, dash, width, radius, hollow } = strokes[style];
  key.append(svg("path", { d: "M0 6H28", "stroke-width": width, "stroke-dasharray": dash.join(" ") || "none" }));
  if (radius) {
    key.append(svg("path", { class: hollow ? "hollow" : "mark", d: {
      circle: "M17.5 6a3.5 3.5 0 1 1-7 0a3.5 3.5 0 1 1 7 0", triangle: "M14 2l4 7h-8z", rect: "M11 3h6v6h-6z",
    }[mark] }));
  }
  return element("li", {}, key, text);
}

/**
 * Panels that share one axis. compute(panel) gives each panel's lines; the axis is fitted to all of them, so that panels
 * can be compared. panels are { title, note }; quantity() names what is drawn, describe() a panel for those who do not see it.
 */
function panelFigure(host, figure) {
  const { panels, names, legend, axis, quantity, compute, describe, tableColumns, tableCells } = figure;
  const drawn = panels.map((panel) => {
    const canvas = element("canvas", { role: "img" });
    const box = element("div", { class: "panel" }, element("h4", {}, panel.title, element("small", {}, panel.note)),
      element("div", { class: "plot" }, canvas));
    return { panel, canvas, box, chart: null, lines: [] };
  });
  const numbers = alternative(quantity, () => ({
    columns: [{ title: "block" }, ...drawn.flatMap(({ panel }) => tableColumns.map((title) =>
      ({ title: `${panel.title}: ${title}`, number: true })))],
    rows: names.map((name, i) => [name, ...drawn.flatMap(({ lines }) => tableCells(lines, i))]),
  }));
  host.append(element("ul", { class: "legend" }, ...legend),
    element("div", { class: "panels" }, ...drawn.map(({ box }) => box)), numbers.details);
  const draw = () => {
    drawn.forEach((each) => {
      each.lines = compute(each.panel);
    });
    const values = drawn.flatMap(({ lines }) => lines.flatMap((line) => [line.values, line.low || [], line.high || []]).flat())
      .filter(Number.isFinite);
    const shared = axis(values);
    drawn.forEach((each) => {
      each.chart?.destroy();
      each.canvas.setAttribute("aria-label", describe(each.panel, each.lines));
      each.chart = linePlot(each.canvas, names, shared, each.lines);
    });
    numbers.fill();
  };
  redraws.push(draw);
}
