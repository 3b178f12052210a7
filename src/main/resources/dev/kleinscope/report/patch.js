// Effects of places on the outcome, as a heat map and as a table.

say("metric-title", "");
byId("finding").textContent = data.finding;
byId("facts").textContent = `${counted(data.effects.length / data.metrics.length, "place")}, ${counted(data.seeds, "seed")}`
  + (data.perStep ? ", steps patched one at a time." : ", all steps patched at once.");
list("limits", data.limits);
for (const [title, text] of [["Activations from", data.from], ["Put into the run of", data.to], ["Comparison", data.null]]) {
  if (text !== null) {
    byId("prompts").append(element("dt", {}, title), element("dd", {}, foreign("div", text)));
  }
}

let metric = data.metrics[0].label;
const distinct = (values) => [...new Set(values)];
const rows = distinct(data.effects.map((effect) => effect.row));
const steps = distinct(data.effects.map((effect) => effect.step));
const columns = data.streams.flatMap((stream) => steps.map((step) => ({ stream, step })))
  .filter(({ stream, step }) => data.effects.some((effect) => effect.stream === stream && effect.step === step));
const columnTitle = ({ stream, step }) => (step === null ? stream : `${stream}, step ${step}`);

function grid(key) {
  return rows.map((row) => ({
    title: row,
    values: columns.map(({ stream, step }) => {
      const found = data.effects.find((effect) => effect.row === row && effect.stream === stream && effect.step === step
        && effect.metric === metric);
      return found ? found[key] : null;
    }),
  }));
}

function draw(id, key) {
  const title = data.metrics.find(({ label }) => label === metric).title;
  document.querySelector(`#${id} .body`).replaceChildren(...heatTable(`Effect by place: ${title}`, "place", columns.map(columnTitle),
    grid(key), {
      floor: 1,
      show: (value) => fixed(value, 3),
      describe: (r, i, value) => `${rows[r]}, ${columnTitle(columns[i])}: ${readable(value)}`,
    }));
}

const tableColumns = [{ title: "point" }, { title: "stream" }, { title: "step", number: true }, { title: "metric" },
  { title: "effect", number: true, digits: 4 }, { title: "spread", number: true, digits: 4 },
  { title: "comparison", number: true, digits: 4 }];
const tableRows = () => data.effects.filter((effect) => effect.metric === metric).map((effect) => [effect.point, effect.stream,
  effect.step === null ? null : String(effect.step), effect.metric, effect.effect, effect.spread, effect.nullEffect]);

if (data.null === null) {
  byId("null-map").remove();
}
const picker = choice("Metric", data.metrics.map(({ label, title }) => [label, `${label}: ${title}`]), (value) => {
  metric = value;
  redraw();
});
byId("controls").append(picker.label);
redraws.push(() => {
  say("metric-title", data.metrics.find(({ label }) => label === metric).title);
  draw("map", "effect");
  if (data.null !== null) {
    draw("null-map", "nullEffect");
  }
  byId("table").replaceChildren(element("div", { class: "toolbar" }, ...exports(() => ({ columns: tableColumns, rows: tableRows() }), "patch.csv")),
    scrolling("Effects", table("Mean over seeds", tableColumns, tableRows())));
});
byId("parameters").append(scrolling("Parameters", parameterTable(data.parameters)));
numberFigures();
showTheme();
