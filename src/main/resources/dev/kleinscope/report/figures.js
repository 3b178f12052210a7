// The figures of one pair: what each block does to the safe and to the extreme prompt.

const upper = (text) => text[0].toUpperCase() + text.slice(1);
const figureBody = (id) => byId(id).querySelector(".body");

function streamPanels(points, measure) {
  const found = points.filter(({ point }) => data.series.some((each) => each.point === point && each.measure === measure));
  return streamsOf(found).map((stream) => ({ stream, title: streamTitle(stream), note: tokenNote(stream) }));
}

function pairLegend() {
  return [legendEntry("safe", "Safe prompt"), legendEntry("extreme", "Extreme prompt")];
}

const titleOf = (measure) => `${measures.get(measure).title} ${symbolOf(measure)}`;

/** Safe and extreme as two lines; shown(level) turns a mean into what is drawn, and quantity says what that is. */
function levelFigure(id, measureOf, axis, shown = (value) => value, quantity = () => titleOf(measureOf())) {
  const host = figureBody(id);
  if (!measured(data.blocks, measureOf())) {
    byId(id).remove();
    return;
  }
  panelFigure(host, {
    panels: streamPanels(data.blocks, measureOf()),
    names: data.axis,
    legend: pairLegend(),
    axis,
    quantity: () => `${upper(quantity())} by block`,
    compute: ({ stream }) => ["safe", "extreme"].map((prompt) => ({
      label: prompt, style: prompt, values: along(data.blocks, stream, measureOf()).map((each) => {
        const value = level(each, prompt);
        return value === null ? null : shown(value);
      }),
    })),
    describe: ({ title }, lines) => `${title}: ${quantity()} by block, ${lines.map((line) =>
      `${line.label} ${ends(line.values)}`).join("; ")}.`,
    tableColumns: ["safe", "extreme"],
    tableCells: (lines, i) => lines.map((line) => line.values[i]),
  });
}

function ends(values) {
  const known = values.map((value, i) => [value, data.axis[i]]).filter(([value]) => value !== null);
  if (!known.length) {
    return "not measured";
  }
  const [first, last] = [known[0], known[known.length - 1]];
  return `from ${readable(first[0])} at ${first[1]} to ${readable(last[0])} at ${last[1]}`;
}

function ratioLine(all, label, style) {
  const found = all.map(contrast);
  const banded = found.some(({ spread }) => spread !== null);
  const edge = (sign) => found.map(({ d, spread }) => (d === null ? null : d + sign * (spread || 0)));
  return { label, style, values: found.map(({ d }) => d), spreads: found.map(({ spread }) => spread),
    ...(banded ? { low: edge(-1), high: edge(1) } : {}) };
}

function describeRatio({ title }, lines) {
  return `${title}: ratio of extreme to safe by block. ` + lines.map((line) => {
    const known = line.values.map((d, i) => [d, data.axis[i]]).filter(([d]) => d !== null);
    if (!known.length) {
      return `${line.label}: not measured.`;
    }
    const [d, block] = known.reduce((most, each) => (Math.abs(each[0]) > Math.abs(most[0]) ? each : most));
    return `${line.label}: farthest from 1 at ${block}, ${Math.exp(d).toFixed(4)}.`;
  }).join(" ");
}

/** Says how far the axis reaches, in the words of the caption. */
function ratioAxis(place) {
  return (values) => {
    const axis = axes.ratio("extreme / safe", values);
    say(place, `The scale reaches from ${percent(Math.expm1(axis.min), 0)} to ${percent(Math.expm1(axis.max), 0)}, `
      + "the same in every panel.");
    return axis;
  };
}

const ratioTable = {
  tableColumns: ["ratio", "spread of ln"],
  tableCells: (lines, i) => lines.flatMap((line) => [line.values[i] === null ? null : Math.exp(line.values[i]), line.spreads[i]]),
};

function ratioFigure() {
  panelFigure(figureBody("ratios"), {
    panels: streamPanels(data.blocks, chosen.norm),
    names: data.axis,
    legend: [legendEntry("ink", "Extreme / safe", true)],
    axis: ratioAxis("scale"),
    compute: ({ stream }) => [ratioLine(along(data.blocks, stream, chosen.norm), "extreme / safe", "ink")],
    quantity: () => `Ratio of the ${titleOf(chosen.norm)}, extreme to safe, by block`,
    describe: describeRatio,
    ...ratioTable,
  });
}

const attentionParts = ["attn", "attn.img", "attn.txt"];
const mlpParts = ["ff", "ff_context"];

function branchFigure() {
  const parts = [
    { title: "Attention", style: "third", points: data.branches.filter(({ part }) => attentionParts.includes(part)) },
    { title: "MLP", style: "fourth", points: data.branches.filter(({ part }) => mlpParts.includes(part)) },
  ].filter(({ points }) => points.length);
  const points = parts.flatMap((part) => part.points);
  const norms = ["n", "N"].filter((symbol) => measured(points, symbol));
  if (!norms.length) {
    byId("branches-section").remove();
    return;
  }
  const norm = () => (norms.includes(chosen.norm) ? chosen.norm : norms[0]);
  redraws.push(() => say("branch-norm", titleOf(norm())));
  panelFigure(figureBody("branches"), {
    panels: streamPanels(points, norms[0]),
    names: data.axis,
    legend: parts.map(({ title, style }) => legendEntry(style, title, true)),
    axis: ratioAxis("branch-scale"),
    compute: ({ stream }) => parts.map(({ title, style, points: own }) => ratioLine(along(own, stream, norm()), title, style)),
    quantity: () => `Ratio of the ${titleOf(norm())} of the branches, extreme to safe, by block`,
    describe: describeRatio,
    tableColumns: parts.flatMap(({ title }) => [`${title} ratio`, `${title} spread of ln`]),
    tableCells: ratioTable.tableCells,
  });
}

/** What doubling all but the four strongest channels would do to the norm, where they hold the most. */
function blindness() {
  let most = null;
  for (const stream of streamsOf(data.blocks)) {
    along(data.blocks, stream, "m").forEach((each, i) => {
      const share = level(each, "extreme");
      if (share !== null && (!most || share > most.share)) {
        most = { share, stream, block: data.axis[i] };
      }
    });
  }
  return most ? "A norm over the whole tensor follows these channels and is blind to the rest: where they hold the most here, "
    + `${(100 * most.share).toFixed(1)}\u2009% in the ${streamTitle(most.stream).toLowerCase()} stream at ${most.block}, doubling `
    + `every other channel would move it by only ${(100 * (Math.sqrt(1 + 3 * (1 - most.share)) - 1)).toFixed(1)}\u2009%.` : "";
}
