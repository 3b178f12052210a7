// The page of the original script's sweep.

byId("facts").textContent = `${counted(data.alphas.length, "alpha")}, ${counted(data.runs.length, "seed")}.`;

function verdict() {
  const drop = falling.length ? `Largest ratio of neighbouring scores ${readable(falling[0].ratio)} (${dropSentence(falling[0])})`
    : "The score falls nowhere";
  const cliff = data.cliff === null ? "The script's rule was not applied."
    : data.cliff ? `Cliff: the script calls a ratio over ${data.cliffRatio.toFixed(1)} a cliff.`
      : `No cliff: the script asks for a ratio over ${data.cliffRatio.toFixed(1)}.`;
  const logits = data.runs[data.runs.length - 1].clipLogit;
  const represented = data.represented === null ? "Not known: no CLIP score of the last image was taken."
    : `${data.represented ? "Represented" : "Not represented"}: the last image's CLIP logit is `
      + `${readable(logits[logits.length - 1])}, and the script asks for more than ${data.representedLogit.toFixed(0)}.`;
  byId("rules").append(element("dt", {}, "Drop"), element("dd", {}, `${drop}. ${cliff}`),
    element("dt", {}, "Concept"), element("dd", {}, represented));
}

function logitFigure() {
  if (!taken("clipLogit")) {
    byId("logit").remove();
    return;
  }
  alphaFigure("logit", [{
    quantity: "CLIP logit", lines: () => seedLines((run) => run.clipLogit),
    axis: (values) => plainAxis("CLIP logit", Math.min(data.representedLogit - 2, ...values.map((value) => value - 0.5)),
      Math.max(data.representedLogit + 10, ...values.map((value) => value + 0.5)), { reference: data.representedLogit }),
  }], seedLegend());
}

verdict();
structuralFigure("structure");
logitFigure();
strips("clipLogit");
sampleTable([...(data.runs.length > 1 ? [["seed", "seed"]] : []), ["structural", "structural"], ["clip_logit", "clipLogit"]],
  "original-interpolation.csv", "As the script prints it");
numberFigures();
showTheme();
