// The page of one look at attention.

const shareText = (value) => `${(100 * value).toFixed(value >= 0.0995 ? 1 : value >= 0.00995 ? 2 : 3)}\u202f%`;
const shortShare = (value) => {
  const hundred = 100 * value;
  return hundred >= 9.95 ? hundred.toFixed(0) : hundred >= 0.095 ? hundred.toFixed(1) : hundred > 0 ? "<.1" : "0";
};

/** A word may be as long as a sentence. */
function shortened(text) {
  const characters = Array.from(text);
  return characters.length > 48 ? `${characters.slice(0, 47).join("")}\u2026` : text;
}

function showRun() {
  byId("finding").textContent = data.finding;
  byId("facts").textContent = [counted(data.blocks.length, "block"), `${counted(data.heads, "head")} each`,
    counted(data.steps.length, "step"), counted(data.tokens, "token")].join(", ") + ", one prompt from one noise."
    + (data.guided ? " The pass without the prompt is in the CSV only." : "");
  list("limits", data.limits);
  byId("prompts").append(element("dt", {}, "Prompt"),
    element("dd", {}, foreign("div", data.prompt, { tabindex: "0", role: "region", "aria-label": "Prompt" })));
  byId("sets").append(table("Tokens", [{ title: "set" }, { title: "tokens", number: true }, { title: "even share", number: true }],
    data.sets.map(([label, count]) => [shortened(label), String(count), shareText(count / data.tokens)]), { class: "sets" }));
  byId("parameters").append(parameterTable(data.parameters));
  say("steps", data.steps.length > 1 ? `mean over ${counted(data.steps.length, "step")}` : `at step ${data.steps[0]}`);
}

function picture(source, alt, ...caption) {
  return element("li", {}, element("img", { src: source, alt }), ...caption.map((line) => element("div", {}, line)));
}

function maps() {
  if (!data.words.length) {
    byId("words-section").remove();
    return;
  }
  const host = byId("words").querySelector(".body");
  const [height, width] = data.map;
  for (const word of data.words) {
    const title = foreign("h3", `\u201c${word.word}\u201d`);
    title.append(element("small", {}, `${counted(word.tokens.length, "token")}, ${shareText(word.image_share)} of the image\u2019s attention; `
      + `${shareText(word.even_share)} if even`));
    const strip = element("ol", {});
    if (data.picture) {
      strip.append(picture(data.picture, "The drawn picture", element("b", {}, "drawn")));
    }
    strip.append(picture(word.mean, `Map of ${word.word}, mean over all heads`, element("b", {}, "all heads"), shareText(word.image_share)));
    word.maps.forEach((source, i) => {
      const { block, head, share, peak } = word.top_heads[i];
      const name = `${data.axis[data.blocks.indexOf(block)]}, head ${head}`;
      strip.append(picture(source, `Map of ${word.word}, ${name}`, element("b", {}, name), shareText(share), `peak ${readable(peak)}`));
    });
    const made = element("div", { class: "strip maps" }, title, strip);
    made.style.setProperty("--columns", 7);
    made.style.setProperty("--shape", `${width} / ${height}`);
    host.append(made);
  }
}

const chosen = { quantity: 0, step: "mean" };
const valuesOf = (quantity) => (chosen.step === "mean" || !quantity.steps.length ? quantity.mean : quantity.steps[Number(chosen.step)]);

/** Rows are heads, columns blocks. */
function heads() {
  const host = byId("heads").querySelector(".body");
  const holder = element("div");
  const pick = (which) => (value) => {
    chosen[which] = value;
    redraw();
  };
  const bar = element("div", { class: "toolbar" },
    choice("Measure", data.quantities.map(({ title }, i) => [String(i), shortened(title)]), pick("quantity")).label);
  if (data.quantities[0].steps.length) {
    bar.append(choice("Steps", [["mean", `Mean of ${data.steps.length}`], ...data.steps.map((step, i) => [String(i), `Step ${step}`])],
      pick("step")).label);
  }
  host.append(bar, holder);
  redraws.push(() => {
    const quantity = data.quantities[Number(chosen.quantity)];
    const values = valuesOf(quantity);
    const known = values.flat().filter((value) => typeof value === "number");
    const limit = quantity.entropy ? 1 : Math.max(...known, 1e-9);
    // entropies by the number of tokens that they stand for: near an even spread the logarithm hardly moves
    const strength = (value) => (quantity.entropy ? Math.exp(value) / data.tokens : value);
    const show = (value) => (quantity.entropy ? value.toFixed(1) : shortShare(value));
    const caption = `${shortened(quantity.title)}, ${quantity.entropy ? "nats" : "percent"}`;
    const divided = data.axis.findIndex((name) => /^S\d/.test(name));
    const side = (i) => (divided === i ? "first-single" : "");
    const body = [];
    for (let head = 0; head < data.heads; head++) {
      body.push(element("tr", {}, element("th", { scope: "row" }, `Head ${head}`), ...values.map((row, i) => {
        const value = row[head];
        const cell = element("td", { class: side(i), title: `${data.axis[i]}, head ${head}: ${typeof value !== "number" ? "not measured"
          : quantity.entropy ? `${readable(value)} nats, as if ${Math.round(Math.exp(value))} tokens alike` : shareText(value)}` }, typeof value === "number" ? show(value) : "\u2013");
        if (typeof value === "number") {
          const { background, ink } = diverging(strength(value), limit);
          cell.style.backgroundColor = background;
          cell.style.color = ink;
        }
        return cell;
      })));
    }
    const made = element("table", {}, element("caption", {}, caption), element("thead", {}, element("tr", {}, element("th", { scope: "col" }, ""),
      ...data.axis.map((title, i) => element("th", { scope: "col", class: side(i) }, title)))), element("tbody", {}, ...body));
    const ramp = element("div", { class: "ramp", "aria-hidden": "true" });
    for (let i = 0; i <= 10; i++) {
      const swatch = element("span");
      swatch.style.backgroundColor = diverging(i, 10).background;
      ramp.append(swatch);
    }
    holder.replaceChildren(scrolling(caption, made, "heat free"),
      element("div", { class: "scale" }, "0", ramp, quantity.entropy ? `${counted(data.tokens, "token")} alike, ${readable(quantity.even)} nats` : shareText(limit)));
    say("quantity", `${caption}, ${chosen.step === "mean" || !quantity.steps.length ? data.steps.length > 1
      ? `mean over ${counted(data.steps.length, "step")}` : `step ${data.steps[0]}` : `step ${data.steps[Number(chosen.step)]}`}. `
      + (quantity.entropy ? "Colours are by the number of tokens that a query as if looks at, the exponential of its entropy." : `An even spread would give ${shareText(quantity.even)} everywhere.`));
  });
}

function numbers() {
  const columns = [{ title: "block" }, { title: "head", number: true }, ...data.quantities.map(({ title }) => ({ title: shortened(title), number: true }))];
  const rows = () => data.blocks.flatMap((block, b) => Array.from({ length: data.heads }, (_, head) => [block, String(head),
    ...data.quantities.map((quantity) => valuesOf(quantity)[b][head])]));
  const holder = element("div");
  byId("table").append(element("div", { class: "toolbar" }, ...exports(() => ({ columns, rows: rows() }), "attention-heads.csv")), holder);
  redraws.push(() => holder.replaceChildren(scrolling("Numbers by head",
    table("Shares as fractions of 1, entropies in nats, of the steps chosen above", columns, rows()))));
}

showRun();
maps();
heads();
numbers();
numberFigures();
showTheme();
