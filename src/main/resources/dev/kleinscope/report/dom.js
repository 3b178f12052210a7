// What every report needs of the page: elements, numbers, theme. Text from the run reaches the page as text nodes only.

const data = JSON.parse(document.getElementById("data").textContent);
const byId = (id) => document.getElementById(id);

/** An element; attributes named on... are listeners, children strings or elements. */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith("on")) {
      made.addEventListener(key.slice(2), value);
    } else {
      made.setAttribute(key, value);
    }
  }
  made.append(...children);
  return made;
}

function say(name, text, root = document) {
  for (const place of root.querySelectorAll(`[data-say="${name}"]`)) {
    place.textContent = text;
  }
}

const counted = (count, one, many = one + "s") => `${count.toLocaleString("en")} ${count === 1 ? one : many}`;

/** For people: four digits, a true minus sign, a dash for what was not measured. */
function readable(value) {
  if (typeof value !== "number" || !Number.isFinite(value)) {
    return value === null || value === undefined ? "\u2013" : String(value);
  }
  const size = Math.abs(value);
  let text;
  if (size === 0) {
    text = "0";
  } else if (size >= 1e7 || size < 1e-4) {
    text = value.toExponential(3);
  } else if (size >= 1000) {
    text = Math.round(value).toLocaleString("en");
  } else {
    text = value.toPrecision(4);
  }
  return text.replace("-", "\u2212");
}

const fixed = (value, digits) => value.toFixed(digits).replace("-", "\u2212");

/** +1.2 and the like, for differences. */
function signed(value, digits) {
  const text = Math.abs(value).toFixed(digits);
  return (Number(text) === 0 ? "" : value < 0 ? "\u2212" : "+") + text;
}

function percent(value, digits = 1) {
  return signed(100 * value, digits) + "\u2009%";
}

/** A labelled choice; options are [value, text] pairs. */
function choice(label, options, changed) {
  const select = element("select", { onchange: () => changed(select.value) },
    ...options.map(([value, text]) => element("option", { value }, text)));
  return { select, label: element("label", { class: "control" }, label, select) };
}

function list(id, items) {
  byId(id).append(...items.map((item) => element("li", {}, item)));
}

/** Prompts and other foreign text keep their own reading direction and do not change their neighbours'. */
function foreign(name, text, attributes = {}) {
  return element(name, { dir: "auto", ...attributes }, text);
}

/** Anew and without gaps, since a figure whose numbers were not measured is left out. */
function numberFigures() {
  document.querySelectorAll("figcaption > b").forEach((number, i) => {
    number.textContent = `Figure ${i + 1}.`;
  });
}

const redraws = [];

function redraw() {
  redraws.forEach((draw) => draw());
}

const root = document.documentElement;
const systemDark = window.matchMedia("(prefers-color-scheme: dark)");
let theme = { "#theme=dark": "dark", "#theme=light": "light" }[window.location.hash] || "";

function dark() {
  return theme ? theme === "dark" : systemDark.matches;
}

function showTheme() {
  if (theme) {
    root.dataset.theme = theme;
  } else {
    delete root.dataset.theme;
  }
  byId("theme").textContent = dark() ? "Light" : "Dark";
  redraw();
}

byId("theme").addEventListener("click", () => {
  theme = dark() ? "light" : "dark";
  showTheme();
});
systemDark.addEventListener("change", showTheme);

// Paper is white, and narrower than a screen: figures are drawn anew for it while a page prints.
let onScreen = "";
window.addEventListener("beforeprint", () => {
  onScreen = theme;
  theme = "light";
  root.dataset.printing = "";
  showTheme();
});
window.addEventListener("afterprint", () => {
  theme = onScreen;
  delete root.dataset.printing;
  showTheme();
});

/** A custom property as the browser resolves it for the theme in use. */
function colour(name) {
  const probe = element("span");
  probe.style.color = `var(--${name})`;
  document.body.append(probe);
  const resolved = getComputedStyle(probe).color;
  probe.remove();
  return resolved;
}

function channels(css) {
  return css.match(/[\d.]+/g).slice(0, 3).map(Number);
}

function translucent(css, alpha) {
  return `rgba(${channels(css).join(", ")}, ${alpha})`;
}
