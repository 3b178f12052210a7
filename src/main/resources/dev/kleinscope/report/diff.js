// The page of two runs' activations.

const number = (value) => (typeof value === "number" ? value : null);
const groupOf = ({ step, pass }) => (step < 0 ? "inputs" : step > 1e6 ? "outputs"
  : `step ${step}${pass === "uncond" ? ", without the prompt" : ""}`);
const groups = [...new Set(data.rows.map(groupOf))];
const ofSteps = data.rows.filter((row) => groupOf(row).startsWith("step"));
const drawnFirst = ofSteps.find(({ within }) => !within) || ofSteps[0] || data.rows[0];
let group = drawnFirst && groupOf(drawnFirst);

byId("a").textContent = data.a;
byId("b").textContent = data.b;
byId("finding").textContent = data.finding;
byId("facts").textContent = `${counted(data.compared, "activation")} in common, ${data.beyond.toLocaleString("en")} beyond the threshold `
  + `of ${data.rtol}.${data.worst ? ` The farthest is ${data.worst}.` : ""}`;

/** D4.img for transformer_blocks.4.img, S7 for single_transformer_blocks.7. */
function short(name) {
  return name.replace(/^step\.\d+\./, "").replace(/^uncond\./, "").replace(/^transformer_blocks\.(\d+)\.?/, "D$1 ")
    .replace(/^single_transformer_blocks\.(\d+)\.?/, "S$1 ").trim();
}

function pointsFigure() {
  const host = byId("points").querySelector(".body");
  const panel = (title) => {
    const canvas = element("canvas", { role: "img" });
    host.lastChild.append(element("div", { class: "panel" }, element("h4", {}, title), element("div", { class: "plot" }, canvas)));
    return { canvas, chart: null };
  };
  host.append(element("ul", { class: "legend" }, legendEntry("ink", "Distance"), legendEntry("each", "Threshold"),
    legendEntry("safe", "Norm of A"), legendEntry("extreme", "Norm of B")), element("div", { class: "panels wide" }));
  const distance = panel("Distance of B from A");
  const norms = panel("Norms");
  distance.canvas.setAttribute("aria-label", "Relative L2 distance by activation; the table below has the numbers.");
  norms.canvas.setAttribute("aria-label", "Norms of A and B by activation; the table below has the numbers.");
  redraws.push(() => {
    [distance, norms].forEach(({ chart }) => chart?.destroy());
    const rows = data.rows.filter((row) => groupOf(row) === group);
    const names = rows.map(({ name }) => short(name));
    const distances = rows.map((row) => number(row.relative_l2) || null);
    const positive = (key) => rows.map((row) => number(row[key]) || null);
    distance.chart = linePlot(distance.canvas, names, axes.log("relative L2", [...distances, data.rtol].filter((d) => d !== null)), [
      { label: "distance", style: "ink", values: distances }, { label: "threshold", style: "each", values: rows.map(() => data.rtol || null) }]);
    const lines = [{ label: "A", style: "safe", values: positive("norm_a") }, { label: "B", style: "extreme", values: positive("norm_b") }];
    norms.chart = linePlot(norms.canvas, names, axes.log("L2 norm", lines.flatMap(({ values }) => values).filter((v) => v !== null)), lines);
    say("drawn", `Drawn: ${group || "nothing"}, ${counted(rows.length, "activation")}, of which `
      + `${rows.filter((row) => row.relative_l2 === 0).length.toLocaleString("en")} agree to the bit.`);
  });
}

function numbersTable() {
  const columns = [{ title: "activation" }, { title: "beyond" }, { title: "relative L2", number: true }, { title: "max abs", number: true },
    { title: "farthest at" }, { title: "A there", number: true }, { title: "B there", number: true }, { title: "norm A", number: true },
    { title: "norm B", number: true }, { title: "cosine", number: true }, { title: "not finite A", number: true },
    { title: "not finite B", number: true }, { title: "remark" }];
  const rows = data.rows.map((row) => [row.name, row.within ? "" : "beyond", row.relative_l2, row.max_abs,
    row.worst_index ? row.worst_index.join(", ") : "", row.worst_a, row.worst_b, row.norm_a, row.norm_b, row.cosine, row.not_finite_a,
    row.not_finite_b, row.problem || ""]);
  byId("table").append(element("div", { class: "toolbar" }, ...exports(() => ({ columns, rows }), "diff.csv")),
    scrolling("Distances by activation", table("In the order of computation; distances are relative to A's norm", columns, rows)));
}

function notCompared() {
  const said = [["A", data.only_a], ["B", data.only_b]].filter(([, names]) => names.length).map(([which, names]) =>
    `Only in ${which}: ${counted(names.length, "activation")}, ${names.slice(0, 5).join(", ")}${names.length > 5 ? " and so on" : ""}.`);
  byId("only").textContent = said.join(" ") || "Both hold the same activations.";
}

function madeTable() {
  const shown = (value) => (value === null ? "\u2013" : value);
  byId("made").append(element("table", { class: "parameters" }, element("caption", {}, "What the files say of their making, where they differ"),
    element("thead", {}, element("tr", {}, ...["", "A", "B"].map((title) => element("th", { scope: "col" }, title)))),
    element("tbody", {}, ...Object.entries(data.made).map(([name, [a, b]]) => element("tr", {}, element("th", { scope: "row" }, name),
      element("td", {}, foreign("div", shown(a))), element("td", {}, foreign("div", shown(b))))))));
}

if (groups.length > 1) {
  const { label, select } = choice("Drawn", groups.map((name) => [name, name]), (value) => {
    group = value;
    redraw();
  });
  select.value = group;
  byId("controls").append(label);
}
if (data.rows.length) {
  pointsFigure();
} else {
  byId("points").remove();
}
numbersTable();
notCompared();
madeTable();
showTheme();
