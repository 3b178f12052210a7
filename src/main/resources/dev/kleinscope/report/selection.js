// Which of the measured numbers are on show, and their means.

const streamTitles = { image: "Image", prompt: "Prompt", template: "Template", padding: "Padding", all: "All tokens" };
const passTitles = { cond: "with the prompt", uncond: "without the prompt" };
const measures = new Map(data.measures.map((measure) => [measure.symbol, measure]));
const symbols = { kappa: "\u03ba" };
const symbolOf = (measure) => symbols[measure] || measure;

const keyOf = (point, stream, measure, pass) => JSON.stringify([point, stream, measure, pass]);
const series = new Map(data.series.map((each) => [keyOf(each.point, each.stream, each.measure, each.pass), each]));
const contrasts = new Map(data.contrasts.map((each) => [keyOf(each.point, each.stream, each.measure, each.pass), each]));

/** Streams of the given points, the image first; all tokens together only where a point has nothing finer. */
function streamsOf(points) {
  const names = new Set(points.map(({ point }) => point));
  const own = data.series.filter((each) => names.has(each.point));
  const found = new Set(own.map((each) => each.stream));
  const finer = new Set(own.filter(({ stream }) => stream !== "all").map(({ point }) => point));
  const ordered = [...Object.keys(streamTitles).filter((stream) => found.has(stream)),
    ...[...found].filter((stream) => !(stream in streamTitles))];
  return [...names].every((point) => finer.has(point)) ? ordered.filter((stream) => stream !== "all") : ordered;
}

const streamTitle = (stream) => streamTitles[stream] || stream;

function tokenNote(stream) {
  const counts = data.tokens[stream];
  if (!counts) {
    return "";
  }
  const [safe, extreme] = counts;
  return safe === extreme ? counted(safe, "token")
    : `${safe.toLocaleString("en")} safe, ${extreme.toLocaleString("en")} extreme tokens`;
}

const chosen = { step: "mean", seed: "mean", pass: data.passes[0], norm: measured(data.blocks, "n") ? "n" : "N" };

function chosenIndices(which, all) {
  return chosen[which] === "mean" ? all.map((_, i) => i) : [Number(chosen[which])];
}

const mean = (values) => (values.length ? values.reduce((sum, value) => sum + value, 0) / values.length : null);

/** A measure's mean over the chosen steps and seeds: geometric where a pair is compared by ratio. */
function level(each, prompt) {
  if (!each) {
    return null;
  }
  const geometric = measures.get(each.measure).byRatio;
  const values = chosenIndices("step", data.steps)
    .flatMap((step) => chosenIndices("seed", data.seeds).map((seed) => each[prompt][step][seed]))
    .filter((value) => Number.isFinite(value) && (!geometric || value > 0));
  if (!values.length) {
    return null;
  }
  return geometric ? Math.exp(mean(values.map(Math.log))) : mean(values);
}

/** Extreme against safe: mean over the chosen seeds and standard deviation over them, each seed a mean over steps. */
function contrast(each) {
  if (!each) {
    return { d: null, spread: null };
  }
  const byRatio = measures.get(each.measure).byRatio;
  const ofSeeds = chosenIndices("seed", data.seeds).map((seed) => mean(chosenIndices("step", data.steps)
    .map((step) => [each.safe[step][seed], each.extreme[step][seed]])
    .filter((pair) => pair.every((value) => Number.isFinite(value) && (!byRatio || value > 0)))
    .map(([safe, extreme]) => (byRatio ? Math.log(extreme / safe) : extreme - safe)))).filter((d) => d !== null);
  const d = mean(ofSeeds);
  const spread = ofSeeds.length > 1
    ? Math.sqrt(ofSeeds.reduce((sum, value) => sum + (value - d) ** 2, 0) / (ofSeeds.length - 1)) : null;
  return { d, spread };
}

/** The series of one of the points at each place of the axis. */
function along(points, stream, measure) {
  return data.axis.map((label) => points.filter((point) => point.label === label)
    .map(({ point }) => series.get(keyOf(point, stream, measure, chosen.pass))).find(Boolean));
}

function measured(points, measure) {
  const names = new Set(points.map(({ point }) => point));
  return data.series.some((each) => each.measure === measure && names.has(each.point));
}

function selectionSentence() {
  const step = chosen.step === "mean" && data.steps.length > 1 ? `mean over ${counted(data.steps.length, "step")}`
    : `step ${data.steps[chosen.step === "mean" ? 0 : Number(chosen.step)]}`;
  const seed = chosen.seed === "mean" && data.seeds.length > 1 ? `mean over ${counted(data.seeds.length, "seed")}`
    : `seed ${data.seeds[chosen.seed === "mean" ? 0 : Number(chosen.seed)]}`;
  const parts = step.startsWith("mean") && seed.startsWith("mean") ? [`${step} and ${seed.slice("mean over ".length)}`]
    : [step, seed];
  if (data.passes.length > 1) {
    parts.push(`pass ${passTitles[chosen.pass] || chosen.pass}`);
  }
  const sentence = parts.join(", ") + ".";
  return sentence[0].toUpperCase() + sentence.slice(1);
}

function selectionControls(host) {
  const add = (which, label, options) => {
    if (options.length > 1) {
      host.append(choice(label, options, (value) => {
        chosen[which] = value;
        redraw();
      }).label);
    }
  };
  const each = (title, all) => [["mean", `Mean of ${all.length}`], ...all.map((value, i) => [String(i), `${title} ${value}`])];
  add("norm", "Norm", ["n", "N"].filter((symbol) => measured(data.blocks, symbol))
    .map((symbol) => [symbol, `${measures.get(symbol).title} ${symbol}`]));
  if (data.steps.length > 1) {
    add("step", "Steps", each("Step", data.steps));
  }
  if (data.seeds.length > 1) {
    add("seed", "Seeds", each("Seed", data.seeds));
  }
  add("pass", "Pass", data.passes.map((pass) => [pass, passTitles[pass] || pass]));
}
