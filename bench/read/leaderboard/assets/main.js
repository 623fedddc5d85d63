// The page: one view, and what changes it.

const form = document.getElementById("choices");
const table = document.getElementById("numbers");
const dialog = document.getElementById("details");
const more = document.getElementById("more");
const title = (name) => data.tracks.find((track) => track.name === name)?.title ?? "";

let view = readView(location.hash);
let limit = AT_FIRST;

document.getElementById("tracks").append(
  ...data.tracks.map(({ name, title }) =>
    element("label", {}, element("input", { type: "radio", name: "track", value: name }), element("span", {}, title)),
  ),
);

document.getElementById("filters").replaceWith(
  element("label", {}, "Accuracy ", element("select", { name: "value" }, ...data.values.map(({ name, title }) => element("option", { value: name }, title)))),
  ...data.columns.map(({ name, title }) => element("label", {}, `${capital(title)} `, element("select", { name }))),
);

function show(next) {
  view = possible(next);
  limit = AT_FIRST;
  history.replaceState(null, "", writeView(view));
  fillForm();
  fill();
}

function fillForm() {
  for (const radio of form.elements.track?.length ? form.elements.track : [form.elements.track]) {
    if (radio) radio.checked = radio.value === view.track;
  }
  for (const name of FILTERS) {
    const options = ["", ...choices(view.track, name)];
    form.elements[name].replaceChildren(...options.map((value) => element("option", { value }, value || "all")));
    form.elements[name].value = view[name];
  }
  form.elements.value.value = view.value;
  for (const name of BOXES) form.elements[name].checked = view[name];
}

function fill() {
  const rows = rowsOf(view);
  const which = view.value === VALUES[0] ? "" : ` (${data.values.find(({ name }) => name === view.value).title})`;
  table.caption.textContent = `Accuracy on clean test images${which} after training on the release, ${title(view.track)}`;
  table.classList.toggle("grouped", view.grouped);
  fillHead(table.tHead.rows[0], view);
  for (const body of [...table.tBodies]) body.remove();
  table.append(...bodies(rows, limit, view, open));
  document.getElementById("status").textContent = counted(rows);
  hint(rows);
  document.getElementById("link").href = writeView(view);
  more.hidden = rows.length <= limit;
  more.textContent = `Show all ${rows.length} rows`;
}

function counted(rows) {
  if (!rows.length) return "No rows: choose another track, fewer filters or all settings.";
  const ours = rows.filter((row) => row.source === null).length;
  const shown = rows.length > limit ? `, the first ${limit} are shown` : "";
  const folded = rowsOf({ ...view, variants: true }).length - rows.length;
  const more = folded ? ` ${folded} more of other settings.` : "";
  return `${rows.length} ${rows.length === 1 ? "row" : "rows"}: ${ours} measured here, ${rows.length - ours} published${shown}.${more}`;
}

// A ranking across settings means nothing; the page says so rather than forbidding it.
function hint(rows) {
  const ours = rows.filter((row) => row.source === null);
  const mixed = data.columns
    .map(({ name, plural }) => [new Set(ours.map((row) => row[name])).size, plural])
    .filter(([n]) => n > 1);
  const line = document.getElementById("hint");
  line.hidden = view.grouped || !mixed.length;
  line.textContent = `Measured rows differ in ${mixed.map(([n, what]) => `${n} ${what}`).join(", ")}: compare those that agree.`;
}

function open(row) {
  fillDetails(dialog, row, title(view.track));
  dialog.showModal();
}

form.addEventListener("submit", (event) => event.preventDefault());
form.addEventListener("change", ({ target }) => {
  show({ ...view, [target.name]: target.type === "checkbox" ? target.checked : target.value });
});
table.tHead.addEventListener("click", ({ target }) => {
  const sort = target.closest("[data-sort]")?.dataset.sort;
  if (!sort) return;
  show({ ...view, sort, descending: view.sort === sort && !view.descending });
  table.tHead.querySelector(`[data-sort=${sort}]`).focus();
});
more.addEventListener("click", () => {
  limit = Infinity;
  const before = table.querySelectorAll("tbody .mean button").length;
  fill();
  table.querySelectorAll("tbody .mean button")[before]?.focus();
});
document.getElementById("download").addEventListener("click", () => {
  save(csvOf(rowsOf(view), view), `sepbench-${view.track}.csv`);
});
dialog.addEventListener("click", ({ target }) => target === dialog && dialog.close());
document.getElementById("skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address is the view
  table.focus();
});
addEventListener("hashchange", () => show(readView(location.hash)));

show(view);
