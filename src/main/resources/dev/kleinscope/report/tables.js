// Tables to read, copy and keep.

/**
 * Columns are { title, number, digits }, rows arrays of values. Numbers are shown short, with a fixed number of digits after
 * the point where digits says so, and exported whole.
 */
function table(caption, columns, rows, attributes = {}) {
  const heading = columns.map((column) => element("th", { scope: "col", class: column.number ? "number" : "" }, column.title));
  const body = rows.map((row) => element("tr", {}, ...row.map((value, i) => {
    const { number, digits } = columns[i];
    const text = !number ? String(value) : digits && typeof value === "number" ? fixed(value, digits) : readable(value);
    return i === 0 ? element("th", { scope: "row" }, text) : element("td", { class: columns[i].number ? "number" : "" }, text);
  })));
  return element("table", attributes, element("caption", {}, caption),
    element("thead", {}, element("tr", {}, ...heading)), element("tbody", {}, ...body));
}

/** A region that scrolls must be reachable by keyboard and have a name. */
function scrolling(label, content, kind = "") {
  return element("div", { class: `scroll ${kind}`.trim(), tabindex: "0", role: "region", "aria-label": label }, content);
}

const exported = (value) => (value === null || value === undefined ? "" : String(value));

function tsv(columns, rows) {
  return [columns.map((column) => column.title), ...rows]
    .map((row) => row.map((value) => exported(value).replace(/[\t\r\n]+/g, " ")).join("\t")).join("\n") + "\n";
}

function csv(columns, rows) {
  const cell = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll("\"", "\"\"")}"` : text);
  return [columns.map((column) => column.title), ...rows]
    .map((row) => row.map((value) => cell(exported(value))).join(",")).join("\n") + "\n";
}

async function copy(text) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    // A page opened from a file may not have the clipboard; selecting and copying works there.
    const area = element("textarea", { "aria-hidden": "true" });
    area.value = text;
    document.body.append(area);
    area.select();
    const copied = document.execCommand("copy");
    area.remove();
    return copied;
  }
}

/** Copy and download for the table that current() answers as { columns, rows }. */
function exports(current, fileName) {
  const said = element("output", {});
  const button = element("button", {
    type: "button",
    onclick: async () => {
      const { columns, rows } = current();
      const done = await copy(tsv(columns, rows));
      said.textContent = done ? `${counted(rows.length, "row")} copied.` : "This browser did not allow copying.";
    },
  }, "Copy table");
  const link = element("a", {
    class: "button",
    href: "#table",
    download: fileName,
    onclick: () => {
      const { columns, rows } = current();
      const url = URL.createObjectURL(new Blob([csv(columns, rows)], { type: "text/csv" }));
      link.href = url;
      setTimeout(() => URL.revokeObjectURL(url), 10000);
    },
  }, "Download CSV");
  return [button, link, said];
}

/** The figure's numbers as a table, built when somebody opens it and kept up to date while it is open. */
function alternative(title, current) {
  const holder = element("div");
  const fill = () => {
    if (details.open) {
      const { columns, rows } = current();
      holder.replaceChildren(scrolling(title(), table(title(), columns, rows)));
    }
  };
  const details = element("details", { ontoggle: fill }, element("summary", {}, "Show as a table"), holder);
  return { details, fill };
}

function parameterTable(parameters) {
  const text = (value) => (value !== null && typeof value === "object" ? JSON.stringify(value) : String(value));
  return element("table", { class: "parameters" }, element("caption", {}, "As given to the run"),
    element("tbody", {}, ...Object.entries(parameters).map(([name, value]) => element("tr", {},
      element("th", { scope: "row" }, name), element("td", {}, foreign("div", text(value)))))));
}

/** Blue below 0, the page's own colour at 0, orange above: each step of the scale differs in lightness as well. */
function diverging(value, limit) {
  const share = Math.max(-1, Math.min(1, value / limit));
  const from = channels(colour("surface"));
  const to = share < 0 ? (dark() ? [77, 163, 224] : [20, 88, 150]) : (dark() ? [240, 150, 60] : [176, 72, 0]);
  const mixed = from.map((channel, i) => Math.round(channel + (to[i] - channel) * Math.abs(share)));
  const [red, green, blue] = mixed.map((channel) => (channel / 255) ** 2.2);
  // Above this luminance black has the greater contrast, below it white.
  const ink = 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000000" : "#ffffff";
  return { background: `rgb(${mixed.join(", ")})`, ink };
}

/**
 * Coloured cells, each with its number: rows are { title, values }. The scale reaches at least floor to both sides of 0, so
 * that small differences look small; oneSided values are none below 0.
 */
function heatTable(caption, corner, columns, rows, { floor, show, describe, divided, oneSided }) {
  const known = rows.flatMap((row) => row.values).filter((value) => typeof value === "number");
  const limit = Math.max(floor, ...known.map(Math.abs));
  const head = element("tr", {}, element("th", { scope: "col" }, corner), ...columns.map((title, i) =>
    element("th", { scope: "col", class: divided === i ? "first-single" : "" }, title)));
  const body = rows.map((row, r) => element("tr", {}, element("th", { scope: "row" }, row.title),
    ...row.values.map((value, i) => {
      const cell = element("td", { class: divided === i ? "first-single" : "", title: describe(r, i, value) },
        typeof value === "number" ? show(value) : "\u2013");
      if (typeof value === "number") {
        const { background, ink } = diverging(value, limit);
        cell.style.backgroundColor = background;
        cell.style.color = ink;
      }
      return cell;
    })));
  const long = columns.some((title) => title.length > 6);
  const made = element("table", { class: long ? "long" : "" }, element("caption", {}, caption), element("thead", {}, head), element("tbody", {}, ...body));
  if (long) {
    made.style.minWidth = `${5 + 6 * columns.length}rem`;
  }
  const ramp = element("div", { class: "ramp", "aria-hidden": "true" });
  for (let i = oneSided ? 0 : -5; i <= 5; i++) {
    const swatch = element("span");
    swatch.style.backgroundColor = diverging(i, 5).background;
    ramp.append(swatch);
  }
  const scale = element("div", { class: "scale" }, show(oneSided ? 0 : -limit), ramp, show(limit));
  return [scrolling(caption, made, "heat free"), scale];
}
