// The page of what carries the norm.

const streamTitles = { image: "Image", prompt: "Prompt", template: "Template", padding: "Padding", all: "All tokens" };
const titleOf = (stream) => streamTitles[stream] || stream;
const plotted = data.summaries.filter((each) => each.onAxis);
const streams = Object.keys(streamTitles).filter((stream) => plotted.some((each) => each.stream === stream));
const share = (value, digits = 1) => (Number.isFinite(value) ? `${(100 * value).toFixed(digits)}\u2009%` : "\u2013");

/** Each place of the axis, or null where the stream has no such point. */
function along(stream) {
  return data.axis.map((label) => plotted.find((each) => each.label === label && each.stream === stream) || null);
}

function showRun() {
  byId("finding").textContent = data.finding;
  const forwards = Math.max(...data.summaries.map((each) => each.forwards));
  byId("facts").textContent = `${counted(data.prompts.length, "prompt")}, ${counted(data.axis.length, "point")}, `
    + `${counted(forwards, "forward")} of each, ${counted(data.top, "channel")} of each forward.`;
  list("limits", data.limits);
  data.prompts.forEach((prompt, i) => {
    byId("prompts").append(element("dt", {}, `Prompt ${i + 1}`),
      element("dd", {}, foreign("div", prompt, { tabindex: "0", role: "region", "aria-label": `Prompt ${i + 1}` })));
  });
  byId("criterion").textContent = data.criterion.text;
  byId("parameters").append(parameterTable(data.parameters));
  say("top", String(data.top));
  say("forwards", counted(forwards, "forward"));
}

function normFigure() {
  panelFigure(byId("norms").querySelector(".body"), {
    panels: streams.map((stream) => ({ stream, title: titleOf(stream), note: "" })),
    names: data.axis,
    legend: [legendEntry("safe", "Norm"), legendEntry("extreme", `Without the ${data.top} strongest channels`)],
    axis: (values) => axes.log("L2 norm", values),
    quantity: () => "Norm with and without the strongest channels",
    compute: ({ stream }) => [
      { label: "norm", style: "safe", values: along(stream).map((each) => (each ? each.norm : null)) },
      { label: "without", style: "extreme", values: along(stream).map((each) => (each ? each.norm_without_top : null)) },
    ],
    describe: ({ title }, [norm, without]) => {
      const known = norm.values.map((value, i) => [value, without.values[i], data.axis[i]]).filter(([value]) => value);
      const [all, rest, place] = known.reduce((most, each) => (each[0] / each[1] > most[0] / most[1] ? each : most));
      return `${title}: farthest apart at ${place}, ${readable(all)} and ${readable(rest)}.`;
    },
    tableColumns: ["norm", "without"],
    tableCells: (lines, i) => lines.map((line) => line.values[i]),
  });
}

/** A channel's mean share over all forwards, as if it had none where it was not among the strongest. */
const carried = (channel, each) => channel.share * channel.forwards / each.forwards;

/** Channels by their share summed over the axis: those that recur come first. */
function recurring(places, most) {
  const sums = new Map();
  places.forEach((each) => each?.channels.forEach((channel) => {
    sums.set(channel.index, (sums.get(channel.index) || 0) + carried(channel, each));
  }));
  return [...sums].sort((a, b) => b[1] - a[1] || a[0] - b[0]).slice(0, most).map(([index]) => index);
}

function heatMap() {
  const holder = element("div");
  let stream = streams[0];
  const draw = () => {
    const places = along(stream);
    const of = (index, each) => each?.channels.find((channel) => channel.index === index) || null;
    const indices = recurring(places, 12);
    const title = `Share of the ${titleOf(stream).toLowerCase()} stream's energy, in percent, by channel and block`;
    holder.replaceChildren(...heatTable(title, "", data.axis, indices.map((index) => ({
      title: String(index), values: places.map((each) => (of(index, each) ? carried(of(index, each), each) : null)),
    })), {
      floor: 0.05,
      oneSided: true,
      divided: data.axis.findIndex((name) => /^S\d/.test(name)),
      show: (value) => (value > 0 && value < 0.01 ? (100 * value).toFixed(1) : String(Math.round(100 * value))),
      describe: (r, i, value) => `channel ${indices[r]}, ${data.axis[i]}: ${typeof value !== "number" ? "not among the strongest"
        : `${share(value)}; among the strongest in ${of(indices[r], places[i]).forwards} of ${places[i].forwards} forwards`}`,
    }));
    say("heat", `${title}: the mean over forwards, counted where the channel was among the ${data.top} strongest; a dash where it never was. `
      + "The twelve channels with the largest sums are shown.");
  };
  byId("heat").querySelector(".body").append(element("div", { class: "toolbar" },
    choice("Stream", streams.map((each) => [each, titleOf(each)]), (value) => {
      stream = value;
      draw();
    }).label), holder);
  redraws.push(draw);
}

function numbersTable() {
  const holder = element("div");
  const shown = { kind: "channels", stream: streams[0] || data.summaries[0].stream };
  const columns = () => [{ title: "point" }, { title: "norm", number: true }, { title: "without top", number: true },
    { title: "massive", number: true }, { title: shown.kind === "channels" ? "channel" : "token", number: true },
    ...(shown.kind === "channels" ? [] : [{ title: "text" }]),
    { title: "in forwards", number: true }, { title: "of", number: true }, { title: "share", number: true, digits: 4 },
    { title: "times median", number: true }];
  const rows = () => data.summaries.filter((each) => each.stream === shown.stream).flatMap((each) => each[shown.kind].map((part) =>
    [each.point, each.norm, each.norm_without_top, String(each.massive), String(part.index), ...(shown.kind === "channels" ? [] : [part.text]),
      String(part.forwards), String(each.forwards), part.share, part.times_median]));
  const draw = () => holder.replaceChildren(scrolling("Strongest channels and tokens by point",
    table(`The strongest ${shown.kind} of the ${titleOf(shown.stream).toLowerCase()} stream, the most frequent first`, columns(), rows())));
  const pick = (which) => (value) => {
    shown[which] = value;
    draw();
  };
  const all = Object.keys(streamTitles).filter((stream) => data.summaries.some((each) => each.stream === stream));
  byId("table").append(element("div", { class: "toolbar" },
    choice("Stream", all.map((stream) => [stream, titleOf(stream)]), pick("stream")).label,
    choice("Strongest", [["channels", "channels"], ["tokens", "tokens"]], pick("kind")).label,
    ...exports(() => ({ columns: columns(), rows: rows() }), "strongest.csv")), holder);
  redraws.push(draw);
}

showRun();
normFigure();
heatMap();
numbersTable();
numberFigures();
showTheme();
