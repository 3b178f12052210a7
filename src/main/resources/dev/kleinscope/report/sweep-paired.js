// The page of a sweep by the paired protocol.

byId("facts").textContent = `${counted(data.alphas.length, "alpha")}, ${counted(data.runs.length, "seed")}, `
  + "one pair of prompts. This protocol gives no verdict here.";

function clipFigure() {
  if (!taken("clipFrom") && !taken("clipTo")) {
    byId("clip").remove();
    return;
  }
  const perSeed = (field, style) => seedLines((run) => run[field], style);
  const difference = (run) => run.clipTo.map((to, i) => (Number.isFinite(to) && Number.isFinite(run.clipFrom[i])
    ? to - run.clipFrom[i] : null));
  const named = (lines, name) => lines.map((line) => ({ ...line, label: `${name}, ${line.label}` }));
  const panels = [{
    title: "CLIP score", note: "100 max(cos, 0)",
    lines: () => [...named(perSeed("clipFrom", "safe"), "first prompt"), ...named(perSeed("clipTo", "extreme"), "second prompt")],
    axis: (values) => plainAxis("CLIP score", Math.min(20, ...values.map((value) => value - 0.5)),
      Math.max(30, ...values.map((value) => value + 0.5))),
  }];
  if (taken("clipFrom") && taken("clipTo")) {
    panels.push({
      title: "Difference", note: "second prompt less first",
      lines: () => seedLines(difference),
      axis: (values) => {
        const reach = Math.max(2, ...values.map(Math.abs));
        return plainAxis("difference", -reach, reach, { reference: 0 });
      },
    });
  }
  const whose = data.runs.length > 1 ? ", median; thin, each seed" : "";
  alphaFigure("clip", panels, [legendEntry("safe", `Against the first prompt${whose}`),
    legendEntry("extreme", `Against the second${whose}`), ...seedLegend()]);
}

function stepFigure() {
  if (!taken("step")) {
    byId("steps").remove();
    return;
  }
  const gaps = data.alphas.slice(1).map((alpha, i) => alpha - data.alphas[i]);
  const even = Math.max(...gaps) - Math.min(...gaps) < 1e-6;
  alphaFigure("steps", [{
    quantity: "Perceptual step", lines: () => seedLines((run) => run.step.slice(1)),
    places: gaps.map((gap, i) => data.alphas[i] + gap / 2),
    axis: (values) => plainAxis("1 \u2212 SSIM", Math.min(0, ...values), Math.max(0.5, ...values)),
  }], seedLegend());
  say("spacing", even ? `Neighbours are ${alphaText(gaps[0])} apart.`
    : "Neighbours are not evenly spaced: over a narrow interval a small step may be a steep one.");
}

function qualityFigure() {
  const panel = (title, note, field, axis) => ({ title, note, lines: () => seedLines((run) => run[field]), axis });
  const terms = [["Blur", "noise and structure fall, blur rises, and the colours stay."],
    ["Noise", "noise, structure and colour entropy rise, and blur stays low."],
    ["Collapse", "into a few flat colours: everything falls to 0 but blur, which rises to 1."]];
  alphaFigure("quality", [
    panel("Noise sigma", "gray levels", "noiseSigma", (values) => plainAxis("sigma", 0, Math.max(10, ...values))),
    panel("Blur", "0 sharp, 1 blurred", "blur", () => plainAxis("blur", 0, 1)),
    panel("Colour entropy", "of at most 12 bits", "colourEntropy", () => plainAxis("bits", 0, 12, { step: 3 })),
  ], seedLegend(), [element("div", { class: "panel" }, element("h4", {}, "What tells them apart"),
    element("dl", {}, ...terms.flatMap(([term, sign]) => [element("dt", {}, term), element("dd", {}, upperFirst(sign))])))]);
}

const upperFirst = (text) => text[0].toUpperCase() + text.slice(1);

structuralFigure("structure");
clipFigure();
stepFigure();
qualityFigure();
strips("clipTo");
sampleTable([["seed", "seed"], ["structural", "structural"], ["clip_from", "clipFrom"], ["clip_to", "clipTo"],
  ["noise_sigma", "noiseSigma"], ["blur", "blur"], ["colour_entropy", "colourEntropy"], ["step", "step"]], "interpolation.csv",
"One line an image");
numberFigures();
showTheme();
