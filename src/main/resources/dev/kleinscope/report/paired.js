// The page of one pair.

function showPair() {
  byId("finding").textContent = data.finding;
  byId("facts").textContent = [counted(data.axis.length, data.blockOutputs ? "block" : "point"), counted(streamsOf(data.blocks).length, "stream"),
    counted(data.steps.length, "step"), counted(data.seeds.length, "seed")].join(", ") + ", one pair of prompts.";
  list("limits", data.limits);
  for (const [style, title, text] of [["safe", "Safe", data.safe], ["extreme", "Extreme", data.extreme]]) {
    byId("prompts").append(element("dt", { class: style }, title),
      element("dd", {}, foreign("div", text, { tabindex: "0", role: "region", "aria-label": `${title} prompt` })));
  }
  if (!data.blockOutputs) {
    say("one-by-one", "Point by point");
    say("place", "at each measured point");
    say("grid", "Every point at every step");
  }
  byId("parameters").append(parameterTable(data.parameters));
}

const offeredMeasures = () => data.measures.filter(({ symbol }) => measured(data.blocks, symbol))
  .map(({ symbol }) => [symbol, titleOf(symbol)]);

function heatMap() {
  const host = figureBody("heat");
  const streams = streamsOf(data.blocks);
  const offered = offeredMeasures();
  const shown = { stream: streams[0], measure: offered[0][0] };
  const holder = element("div");
  const pick = (which) => (value) => {
    shown[which] = value;
    draw();
  };
  host.append(element("div", { class: "toolbar" },
    choice("Stream", streams.map((stream) => [stream, streamTitle(stream)]), pick("stream")).label,
    choice("Measure", offered, pick("measure")).label), holder);
  const draw = () => {
    const measure = measures.get(shown.measure);
    const columns = data.axis.map((label) => data.blocks.filter((point) => point.label === label)
      .map(({ point }) => contrasts.get(keyOf(point, shown.stream, shown.measure, chosen.pass))).find(Boolean));
    const rows = data.steps.map((step, i) => ({ title: `Step ${step}`, values: columns.map((each) => each?.d[i] ?? null) }));
    const what = measure.byRatio ? `100 \u00d7 ln(extreme / safe) of ${symbolOf(shown.measure)}`
      : `100 \u00d7 (extreme \u2212 safe) of ${symbolOf(shown.measure)}`;
    const title = `${what}, ${streamTitle(shown.stream).toLowerCase()} stream`;
    holder.replaceChildren(...heatTable(title, "", data.axis, rows, {
      floor: 0.05,
      divided: data.axis.findIndex((name) => /^S\d/.test(name)),
      show: (value) => signed(100 * value, Math.abs(value) >= 0.995 ? 0 : 1),
      describe: (r, i, value) => `${data.axis[i]}, step ${data.steps[r]}: ${typeof value !== "number" ? "not measured"
        : measure.byRatio ? `ratio ${Math.exp(value).toFixed(4)}` : `difference ${readable(value)}`}`,
    }));
    say("heat", `${title}, mean over ${counted(data.seeds.length, "seed")}${data.passes.length > 1
      ? `, ${passTitles[chosen.pass] || chosen.pass}` : ""}. ${measure.byRatio ? "One unit is about one percent. " : ""}`
      + "Orange: more in the extreme prompt; blue: more in the safe one. The scale reaches at least 5 to both sides of 0, so "
      + "that small differences look small.");
  };
  redraws.push(draw);
}

function numbersTable() {
  const offered = offeredMeasures();
  let symbol = offered[0][0];
  const columns = [{ title: "point" }, { title: "stream" }, { title: "safe mean", number: true },
    { title: "extreme mean", number: true }, { title: "ratio", number: true, digits: 4 },
    { title: "d", number: true, digits: 5 }, { title: "spread", number: true, digits: 5 }];
  const rows = () => [...data.blocks, ...data.branches].flatMap(({ point }) => Object.keys(streamTitles)
    .map((stream) => series.get(keyOf(point, stream, symbol, chosen.pass))).filter(Boolean).map((each) => {
      const { d, spread } = contrast(each);
      const [safe, extreme] = [level(each, "safe"), level(each, "extreme")];
      return [each.point, each.stream, safe, extreme, safe === null || extreme === null ? null : extreme / safe, d, spread];
    }));
  const holder = element("div");
  const draw = () => {
    holder.replaceChildren(scrolling("Numbers by point and stream",
      table(`${upper(titleOf(symbol))}. ${selectionSentence()}`, columns, rows())));
  };
  byId("table").append(element("div", { class: "toolbar" }, choice("Measure", offered, (value) => {
    symbol = value;
    draw();
  }).label, ...exports(() => ({ columns, rows: rows() }), "norms.csv")), holder);
  redraws.push(draw);
}

function captions() {
  say("norm", upper(titleOf(chosen.norm)));
  say("norm-lower", titleOf(chosen.norm));
  say("selection", selectionSentence());
  say("band", chosen.seed === "mean" && data.seeds.length > 1
    ? `The band is one standard deviation over the ${counted(data.seeds.length, "seed")} to either side.`
    : "One seed: there is no spread to show.");
  say("blindness", blindness());
}

showPair();
selectionControls(byId("controls"));
levelFigure("norms", () => chosen.norm, (values) => axes.log(`norm ${chosen.norm}`, values));
ratioFigure();
levelFigure("updates", () => "u", (values) => axes.log("update u", values));
levelFigure("cosines", () => "kappa", (values) => axes.log("1 \u2212 \u03ba", values), (value) => (value < 1 ? 1 - value : null),
  () => "turn 1 \u2212 \u03ba");
levelFigure("channels", () => "m", () => axes.share("share m"));
heatMap();
branchFigure();
numbersTable();
redraws.push(captions);
numberFigures();
showTheme();
