
"use strict";
const DAY = 86400000;
const data = JSON.parse(document.getElementById("data").textContent);
const dark = matchMedia("(prefers-color-scheme: dark)");
const views = new Map();
const PER_DATE = ["overview", "orders", "amount", "discards", "fields", "moved", "late"];
const SALES = ["country", "category", "sku"];
const STATES = {
  failed: "failed", incomplete: "incomplete", built: "built by the newest run", earlier: "built by an earlier run",
  skipped: "complete, skipped", absent: "no partition",
};

// turns columns into rows
function rowsOf(name) {
  const columns = data.rows[name];
  const names = Object.keys(columns);
  const first = names.length ? columns[names[0]] : [];
  return first.map((_, at) => Object.fromEntries(names.map((key) => [key, columns[key][at]])));
}

function money(value) {
  if (value === null) return "–";
  const digits = Math.abs(value) < 10000 ? 2 : 0;
  return value.toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits });
}

function duration(milliseconds) {
  const minutes = Math.max(0, Math.floor(milliseconds / 60000));
  const hours = Math.floor(minutes / 60);
  if (hours < 1) return `${minutes} min`;
  return hours < 72 ? `${hours} h` : `${Math.floor(hours / 24).toLocaleString("en")} days`;
}

function seconds(value) {
  if (value === null) return "unknown";
  return value < 60 ? `${value.toFixed(1)} s` : `${Math.floor(value / 60)} min ${Math.round(value % 60)} s`;
}

// one square for each day of the years; an empty row separates two years
function calendar() {
  const known = new Map(rowsOf("calendar").map((row) => [row.date, row]));
  const years = [...known.keys()].map((date) => Number(date.slice(0, 4)));
  const rows = [];
  for (let year = Math.min(...years); year <= Math.max(...years); year++) {
    const start = Date.UTC(year, 0, 1);
    const shift = (new Date(start).getUTCDay() + 6) % 7;
    for (let day = 0; start + day * DAY < Date.UTC(year + 1, 0, 1); day++) {
      const date = new Date(start + day * DAY).toISOString().slice(0, 10);
      const row = known.get(date) || { date, state: "outside" };
      const place = { week: Math.floor((day + shift) / 7), row: year * 10 + ((day + shift) % 7) };
      rows.push({ ...row, ...place, state_text: STATES[row.state] || "" });
    }
    if (year < Math.max(...years)) rows.push({ week: 0, row: year * 10 + 7, state: null });
  }
  return rows;
}

function perDate(name) {
  return rowsOf(name).map((row) => ({ ...row, t: Date.parse(row.date) }));
}

// The skus are a list of the top ones, so the row of all others is left out. Two names may be equal; invisible
// characters make their labels differ, since equal labels would share one bar.
function sales(facet) {
  return rowsOf("sales").filter((row) => row.facet === facet && !(facet === "sku" && row.rest))
    .map((row) => ({
      ...row, shown: money(row.amount), end: Math.max(row.amount, 0), label: row.name + "\u200b".repeat(row.rank),
    }));
}

function runs() {
  return rowsOf("runs").map((row, number) => ({
    ...row, number, took: seconds(row.seconds), as_of: row.as_of.slice(0, 16).replace("T", " "),
  }));
}

const orders = perDate("orders").map((row) => ({ ...row, currency: data.currencies[row.series] || "other currencies" }));
const rows = {
  overview: orders, orders, amount: orders.filter((row) => row.amount !== null), discards: perDate("discards"),
  fields: perDate("fields"), moved: perDate("moved"), late: perDate("late"), runs: runs(),
};
if (data.rows.calendar.date) rows.calendar = calendar();
for (const facet of SALES) rows[facet] = sales(facet);
if (rows.runs.every((row) => row.seconds === null)) rows.runs = [];

const dates = (data.rows.calendar.date || []).map(Date.parse);
const end = Math.max(...dates) + DAY;
const start = Math.min(Math.min(...dates), end - 14 * DAY);
const shown = { from: start, to: end, step: DAY, currency: 0 };

function stepOf(from, to) {
  const days = (to - from) / DAY;
  return days <= 120 ? DAY : days <= 1500 ? 7 * DAY : 28 * DAY;
}

function choose(from, to) {
  Object.assign(shown, { from: Math.max(from, start), to: Math.min(to, end) });
  shown.step = stepOf(shown.from, shown.to);
  const bar = shown.step === DAY ? "day" : `${shown.step / DAY} days`;
  const until = new Date(shown.to - 1).toISOString().slice(0, 10);
  const since = new Date(shown.from).toISOString().slice(0, 10);
  const how = document.getElementById("overview").hidden ? "" : "; drag over the strip to choose dates";
  document.getElementById("bars").textContent = `${since} to ${until}, one bar for each ${bar}${how}`;
  update();
}

function update() {
  for (const name of document.querySelectorAll(".currency")) name.textContent = data.currencies[shown.currency] || "";
  for (const name of [...PER_DATE, ...SALES]) {
    const view = views.get(name);
    if (!view) continue;
    for (const [signal, value] of Object.entries(shown)) view.signal(signal, value);
    view.runAsync();
  }
}

function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(name).trim();
}

function themed(chart) {
  return JSON.parse(JSON.stringify(chart).replace(/var\((--[\w-]+)\)/g, (_, name) => colour(name)));
}

function config() {
  const font = getComputedStyle(document.body).fontFamily;
  const text = { labelColor: colour("--soft"), labelFontSize: 11.5, labelFont: font };
  return {
    background: null, font, view: { stroke: null }, aria: false,
    axis: { ...text, gridColor: colour("--grid"), domainColor: colour("--line"), tickColor: colour("--line") },
  };
}

async function draw(name) {
  const element = document.getElementById(name);
  if (!element.clientWidth) return;
  if (!rows[name].length) return sayNone(element);
  const chart = themed(data.charts[name]);
  for (const param of chart.params || []) if (param.name in shown) param.value = shown[param.name];
  chart.datasets = { ...chart.datasets, rows: rows[name] };
  chart.config = config();
  if (views.has(name)) views.get(name).finalize();
  // ast: Vega works without eval, which the page's policy forbids; logLevel 1: errors only, no warning for empty ranges
  const tooltip = { theme: dark.matches ? "dark" : "light" };
  const options = { actions: false, renderer: "svg", ast: true, logLevel: 1, tooltip };
  const { view } = await vegaEmbed(element, chart, options);
  views.set(name, view);
  // hidden from screen readers: its parts have no names, and the label around it and the tables say what it shows
  element.querySelector("svg").setAttribute("aria-hidden", "true");
  if (name === "overview") followZoom(view);
}

// shown instead of a chart that has no rows
function sayNone(element) {
  element.removeAttribute("role");
  element.removeAttribute("aria-label");
  element.textContent = "Nothing to draw.";
}

function followZoom(view) {
  view.addSignalListener("zoom", (_, zoom) => {
    if (!zoom.bar) return;
    for (const button of document.querySelectorAll("input[name=range]")) button.checked = false;
    choose(...zoom.bar.map(Number).sort((one, other) => one - other));
  });
}

async function drawAll() {
  await Promise.all(Object.keys(rows).map(draw));
  update();
  document.documentElement.dataset.drawn = [...views.keys()].sort().join(" ");
}

function showFreshness() {
  if (data.settled_until === null) return;
  document.getElementById("freshness").textContent = duration(Date.now() - data.settled_until);
}

function chooseRange() {
  const button = document.querySelector("input[name=range]:checked");
  choose(button && Number(button.value) ? end - Number(button.value) * DAY : start, end);
}

function listen() {
  for (const button of document.querySelectorAll("input[name=range]")) button.addEventListener("change", chooseRange);
  for (const button of document.querySelectorAll("input[name=currency]")) {
    button.addEventListener("change", () => { shown.currency = Number(button.value); update(); });
  }
  dark.addEventListener("change", drawAll);
}

// with so few dates there is nothing to choose
if (end - Math.min(...dates) <= 28 * DAY) {
  for (const part of document.querySelectorAll("#overview, #range")) part.hidden = true;
}
showFreshness();
setInterval(showFreshness, 60000);
listen();
if (dates.length) chooseRange();
drawAll();
