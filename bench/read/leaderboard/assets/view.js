// What is shown: the view is the address behind #, and the rows that fit it.

const data = JSON.parse(document.getElementById("data").textContent);
const FILTERS = data.columns.map(({ name }) => name);
// What a number rests on: protected sets, and victims on each.
const COUNTS = ["sets", "victims"];
// Accuracies of the same victims, the usual one first.
const VALUES = data.values.map(({ name }) => name);
const SWITCHES = ["published", "changed", "grouped"];
const FOLDED = ["variants"]; // what is shown only where it is asked for
const BOXES = [...SWITCHES, ...FOLDED];

// What stands beside every number of a track, such as PSNR where nothing bounds the change.
function beside(track) {
  return data.tracks.find(({ name }) => name === track)?.beside ?? [];
}

function sorts(track) {
  return ["method", "mean", ...COUNTS, ...beside(track).map(({ name }) => name), ...FILTERS];
}

function readView(hash) {
  const asked = new URLSearchParams(hash.replace(/^#/, ""));
  const names = data.tracks.map((track) => track.name);
  const track = names.includes(asked.get("track")) ? asked.get("track") : data.opens;
  const view = {
    track,
    value: VALUES.includes(asked.get("value")) ? asked.get("value") : VALUES[0],
    sort: asked.get("sort") ?? "mean",
    descending: asked.get("order") === "descending",
    published: asked.get("published") !== "no",
    changed: asked.get("changed") !== "no",
    grouped: asked.get("grouped") !== "no",
    variants: asked.get("variants") === "yes",
  };
  // An address that says nothing asks for the usual table: victims that do not defend themselves.
  if (!asked.has("track")) asked.set("defense", "plain");
  for (const name of FILTERS) view[name] = asked.get(name) ?? "";
  return possible(view);
}

function writeView(view) {
  const parts = new URLSearchParams({ track: view.track ?? "" });
  for (const name of FILTERS) if (view[name]) parts.set(name, view[name]);
  if (view.value !== VALUES[0]) parts.set("value", view.value);
  if (view.sort !== "mean") parts.set("sort", view.sort);
  if (view.descending) parts.set("order", "descending");
  for (const name of SWITCHES) if (!view[name]) parts.set(name, "no");
  for (const name of FOLDED) if (view[name]) parts.set(name, "yes");
  return `#${parts}`;
}

// A filter keeps a value only where the track has rows with it; within a group there is nothing to sort by setting.
function possible(view) {
  const kept = { ...view };
  for (const name of FILTERS) if (!choices(view.track, name).includes(view[name])) kept[name] = "";
  if (!sorts(kept.track).includes(kept.sort) || (kept.grouped && FILTERS.includes(kept.sort))) kept.sort = "mean";
  return kept;
}

function choices(track, name) {
  const values = data.rows.filter((row) => row.tracks.includes(track)).map((row) => row[name]);
  return [...new Set(values)].sort(byName);
}

function rowsOf(view) {
  const fits = (row) =>
    row.tracks.includes(view.track) &&
    FILTERS.every((name) => !view[name] || row[name] === view[name]) &&
    (view.published || row.source === null) &&
    (view.changed || !row.changed) &&
    (view.variants || !row.variant);
  return data.rows.filter(fits).map((row) => valued(row, view.value)).filter(Boolean).sort(order(view));
}

// A row with the accuracy that is asked for; nothing where it is not known, as of published numbers.
function valued(row, value) {
  if (value === VALUES[0]) return row;
  const other = row.others[value];
  return other && { ...row, ...other, text: { ...row.text, ...other.text } };
}

function order({ sort, descending }) {
  const sign = descending ? -1 : 1;
  return (a, b) => {
    const [x, y] = sort === "method" ? [label(a), label(b)] : [a[sort], b[sort]];
    if (x === y) return 0;
    // What was not measured stands last in either direction.
    if (x === null || y === null) return x === null ? 1 : -1;
    return sign * (typeof x === "number" ? x - y : byName(x, y));
  };
}

// Rows that may be compared with each other: of one setting and, if published, one source.
function groupsOf(rows) {
  const groups = new Map();
  for (const row of rows) {
    if (!groups.has(row.context)) groups.set(row.context, []);
    groups.get(row.context).push(row);
  }
  const rank = ({ source, changed }) => (source === null ? 0 : 2) + (changed ? 1 : 0);
  return [...groups.values()].sort(([a], [b]) => rank(a) - rank(b) || byName(settingOf(a), settingOf(b)));
}

function settingOf(row) {
  const parts = FILTERS.map((name) => row[name]);
  return [...parts, ...(row.source === null ? [] : [row.source])].join(" · ");
}

function byName(a, b) {
  return a.localeCompare(b, "en", { numeric: true });
}

function label(row) {
  return row.parameters ? `${row.method} (${row.parameters})` : row.method;
}
