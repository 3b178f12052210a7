// The page of the original script's numbers.

const names = data.layers.map(({ label }) => label);
const ratios = data.layers.map(({ safe, extreme }) => (safe > 0 && extreme > 0 ? Math.log(extreme / safe) : null));

byId("finding").textContent = data.finding;
byId("facts").textContent = `${counted(data.layers.length, "layer")}, mean over ${counted(data.layers[0]?.calls || 0, "call")}. `
  + `${data.spikes.length ? `Above the threshold of ${data.threshold}: ${data.spikes.join(", ")}.`
    : `No layer above the threshold of ${data.threshold}.`}`;
list("defects", data.defects);
byId("parameters").append(parameterTable(data.parameters));

function layersFigure() {
  const host = byId("layers").querySelector(".body");
  const panel = (title) => {
    const canvas = element("canvas", { role: "img" });
    host.lastChild.append(element("div", { class: "panel" }, element("h4", {}, title),
      element("div", { class: "plot" }, canvas)));
    return { canvas, chart: null };
  };
  host.append(element("ul", { class: "legend" }, legendEntry("safe", "Safe prompt"),
    legendEntry("extreme", "Extreme prompt"), legendEntry("ink", "Extreme / safe")), element("div", { class: "panels" }));
  const norms = panel("Norm of the first output");
  const ratio = panel("Extreme / safe");
  norms.canvas.setAttribute("aria-label", "Mean norm by layer, safe and extreme; the table below has the numbers.");
  ratio.canvas.setAttribute("aria-label", "Ratio of extreme to safe by layer; the table below has the numbers.");
  redraws.push(() => {
    [norms, ratio].forEach(({ chart }) => chart?.destroy());
    const lines = ["safe", "extreme"].map((prompt) =>
      ({ label: prompt, style: prompt, values: data.layers.map((layer) => layer[prompt]) }));
    const known = lines.flatMap(({ values }) => values).filter(Number.isFinite);
    norms.chart = linePlot(norms.canvas, names, axes.log("L2 norm", known), lines);
    const axis = axes.ratio("extreme / safe", ratios.filter((d) => d !== null));
    ratio.chart = linePlot(ratio.canvas, names, axis, [{ label: "extreme / safe", style: "ink", values: ratios }]);
    say("scale", `The scale of the ratio reaches from ${percent(Math.expm1(axis.min), 0)} to ${percent(Math.expm1(axis.max), 0)}; `
      + `the script calls a ratio over ${data.threshold}, ${percent(data.threshold - 1, 0)}, a spike.`);
  });
}

function layersTable() {
  const columns = [{ title: "layer" }, { title: "safe_avg", number: true }, { title: "extreme_avg", number: true },
    { title: "ratio", number: true, digits: 4 }];
  const rows = data.layers.map(({ layer, safe, extreme }) => [layer, safe, extreme, safe > 0 ? extreme / safe : null]);
  byId("table").append(element("div", { class: "toolbar" }, ...exports(() => ({ columns, rows }), "original-norms.csv")),
    scrolling("Norms by layer", table("Mean over calls of the L2 norm, as the script prints it", columns, rows)));
}

layersFigure();
layersTable();
showTheme();
