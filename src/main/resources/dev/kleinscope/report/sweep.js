// Sweeps between two prompts: figures over alpha, one line a seed, and the images.

const alphaText = (alpha) => String(Number(alpha.toFixed(4)));
const score = (value) => (typeof value === "number" && value < 10 ? value.toFixed(2) : typeof value === "number" && value < 1000
  ? value.toFixed(1) : readable(value));
const ratioText = (ratio) => (typeof ratio === "number" ? `\u00f7\u202f${Number(ratio.toPrecision(3)).toLocaleString("en")}`
  : "to 0");
const finite = (values) => values.filter(Number.isFinite);
const taken = (field) => data.runs.some((run) => finite(run[field]).length);
const falling = data.runs.filter((run) => run.drop);

// Beyond these a line for each seed could not be told from the next: then all are thin, and their median stands out.
const seedStyles = ["ink", "third", "fourth", "fifth"];
const many = data.runs.length > seedStyles.length;

function median(values) {
  const known = finite(values).sort((a, b) => a - b);
  const half = known.length / 2;
  return known.length ? (known[Math.ceil(half) - 1] + known[Math.floor(half)]) / 2 : null;
}

/**
 * The lines of all seeds; values(run) answers one number for each alpha. Of a style of their own they are thin about their
 * median, since several such sets share a panel.
 */
function seedLines(values, style) {
  const thin = many || style && data.runs.length > 1;
  const shown = data.runs.map((run, i) => ({ label: `seed ${run.seed}`, values: values(run),
    style: thin ? "each" : style || seedStyles[i], tint: thin && (style || "each") }));
  return thin ? [...shown, { label: "median", style: style || "ink",
    values: data.alphas.map((_, i) => median(shown.map((line) => line.values[i]))) }] : shown;
}

function seedLegend() {
  return many ? [legendEntry("each", `Each of ${data.runs.length} seeds`), legendEntry("ink", "Median over seeds")]
    : data.runs.map(({ seed }, i) => legendEntry(seedStyles[i], `Seed ${seed}`));
}

const dropLegend = () => (falling.length ? [element("li", {}, element("span", { class: "drop-key", "aria-hidden": "true" }),
  "Largest drop")] : []);

const alphaAxis = (places) => {
  const [min, max] = [Math.min(0, ...places), Math.max(1, ...places)];
  return {
    type: "linear", min, max, grid: { display: false },
    title: { display: true, text: "alpha, weight of the second prompt", color: colour("muted") },
    ticks: { stepSize: 0.25, maxRotation: 0, callback: alphaText },
  };
};

/** The drop of each seed as a broad stroke beneath its line. */
function dropStrokes(values) {
  return falling.map((run) => ({
    data: data.alphas.map((x, i) => ({ x, y: run.drop.includes(i) ? values(run)[i] : null })), silent: true, spanGaps: true,
    borderColor: translucent(colour("extreme"), many ? 0.25 : 0.4), borderWidth: 12, borderCapStyle: "round", pointRadius: 0,
    pointHitRadius: 0, pointHoverRadius: 0, order: 9,
  }));
}

/**
 * Panels of { title, note, lines(), axis(values), places, strokes } over alpha; those without places stand at the alphas.
 * more are elements that stand beside them.
 */
function alphaFigure(id, panels, legend, more = []) {
  const drawn = panels.map((panel) => {
    const canvas = element("canvas", { role: "img" });
    const box = element("div", { class: "panel" }, ...(panel.title ? [element("h4", {}, panel.title,
      element("small", {}, panel.note || ""))] : []), element("div", { class: "plot" }, canvas));
    return { panel, canvas, box, chart: null };
  });
  const alone = panels.length + more.length === 1;
  byId(id).querySelector(".body").append(element("ul", { class: "legend" }, ...legend),
    element("div", { class: alone ? "panels wide" : "panels" }, ...drawn.map(({ box }) => box), ...more));
  redraws.push(() => drawn.forEach((each) => {
    const { lines: compute, axis: fit, title, quantity, places = data.alphas, strokes: under } = each.panel;
    const lines = compute();
    const axis = fit(finite(lines.flatMap((line) => line.values)));
    axis.tooltip = { title: (items) => (items.length ? `alpha ${alphaText(items[0].parsed.x)}` : "") };
    const sets = datasets(lines).map((set) => ({ ...set, data: set.data.map((y, i) => ({ x: places[i], y })) }));
    each.chart?.destroy();
    each.canvas.setAttribute("aria-label", `${title || quantity} against alpha. ${lines.map(spoken).join(" ")} `
      + "The table below has the numbers.");
    each.chart = plot(each.canvas, axis, [...sets, ...(under ? dropStrokes(under) : [])], places.map(alphaText),
      alphaAxis(data.alphas));
  }));
}

function spoken({ label, values }) {
  const known = finite(values);
  return known.length ? `${label}: from ${readable(known[0])} to ${readable(known[known.length - 1])}, lowest `
    + `${readable(Math.min(...known))}.` : `${label}: not measured.`;
}

function structuralFigure(id) {
  const flat = data.runs.flatMap((run) => run.structural).filter((value) => value === 0).length;
  alphaFigure(id, [{
    quantity: "Structural score", lines: () => seedLines((run) => run.structural), strokes: (run) => run.structural,
    axis: (values) => axes.log("structural score", values),
  }], [...seedLegend(), ...dropLegend()]);
  say("flat", flat ? `${counted(flat, "image")} without any structure, score 0, cannot stand on a logarithmic axis.` : "");
}

const dropSentence = (run) => `${ratioText(run.ratio)} from \u03b1 ${run.drop.map((i) => alphaText(data.alphas[i])).join(" to ")}`;

function dropsSentence() {
  if (!falling.length) {
    return "The score falls nowhere.";
  }
  const still = data.runs.length - falling.length;
  const rest = still ? ` At ${counted(still, "seed")} it falls nowhere.` : "";
  if (data.runs.length === 1) {
    return `Largest drop: ${dropSentence(falling[0])}.`;
  }
  if (!many) {
    return `Largest drop: ${falling.map((run) => `seed ${run.seed}, ${dropSentence(run)}`).join("; ")}.${rest}`;
  }
  const ratios = finite(falling.map(({ ratio }) => ratio));
  return `Largest drop of each seed: median ${ratioText(median(ratios))}, from ${ratioText(Math.min(...ratios))} to `
    + `${ratioText(Math.max(...ratios))}.${rest}`;
}

/** The images of each seed; clip names the score under them, if any was taken. */
function strips(clip) {
  const host = byId("images").querySelector(".body");
  if (!data.runs.some((run) => run.pictures.some(Boolean))) {
    byId("images-section").remove();
    return;
  }
  const lines = Math.ceil(data.alphas.length / 9);
  host.style.setProperty("--columns", Math.ceil(data.alphas.length / lines));
  data.runs.forEach((run) => host.append(element("div", { class: "strip" }, element("h3", {}, `Seed ${run.seed}`,
    element("small", {}, run.drop ? `largest drop ${dropSentence(run)}` : "the score falls nowhere")),
  element("ol", {}, ...data.alphas.map((alpha, i) => {
    const side = run.drop ? ["before", "after"][run.drop.indexOf(i)] || "" : "";
    const picture = run.pictures[i] ? element("img", { src: run.pictures[i], alt: `Seed ${run.seed}, alpha ${alphaText(alpha)}` })
      : element("span", { class: "absent" });
    const caption = [element("div", {}, element("b", {}, `\u03b1 ${alphaText(alpha)}`)),
      element("div", {}, `L ${score(run.structural[i])}`)];
    if (taken(clip)) {
      caption.push(element("div", {}, `CLIP ${typeof run[clip][i] === "number" ? run[clip][i].toFixed(1) : "\u2013"}`));
    }
    return element("li", { class: side }, run.images[i] ? element("a", { href: run.images[i] }, picture) : picture, ...caption);
  })))));
}

/** Columns are [title, field] pairs after alpha. */
function sampleTable(fields, fileName, caption) {
  const columns = ["alpha", ...fields.map(([title]) => title)].map((title) => ({ title, number: title !== "seed",
    digits: title === "alpha" ? 4 : 0 }));
  const rows = data.runs.flatMap((run) => data.alphas.map((alpha, i) => [alpha,
    ...fields.map(([, field]) => (field === "seed" ? run.seed : run[field][i]))]));
  byId("table").append(element("div", { class: "toolbar" }, ...exports(() => ({ columns, rows }), fileName)),
    scrolling("Numbers by alpha", table(caption, columns, rows)));
}

function showPrompts() {
  for (const [style, title, text] of [["safe", "\u03b1 = 0", data.from], ["extreme", "\u03b1 = 1", data.to]]) {
    byId("prompts").append(element("dt", { class: style }, title),
      element("dd", {}, foreign("div", text, { tabindex: "0", role: "region", "aria-label": `Prompt at ${title}` })));
  }
}

byId("finding").textContent = data.finding;
list("limits", data.limits);
byId("parameters").append(parameterTable(data.parameters));
showPrompts();
say("drops", dropsSentence());
