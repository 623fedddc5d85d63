// The runs behind a number, in a dialog.

const GROUPS = [
  ["Setting", data.setting],
  ["Seeds", ["seed", "surrogate_seed", "craft_seed"]],
  ["Outcome", ["status", "reason", "test_acc", "peak_acc", "train_acc", "relabelled_acc", "n_test", "epochs"]],
  ["Audit of the released bytes", ["linf_levels", "l2", "l0", "psnr", "ssim"]],
  ["Cost", ["craft_passes", "craft_seconds", "surrogate_seconds", "train_seconds", "peak_memory_mb"]],
  ["Provenance", ["brought", "version", "git_sha", "dirty", "started", "torch", "device", "precision", "deterministic",
    "compiled", "host_cores", "plugins"]],
  ["Inputs", ["key", "surrogate_keys", "protected_key", "protected_sha256", "train_sha256", "test_sha256"]],
];
const NAMED = GROUPS.flatMap(([, fields]) => fields);

function fillDetails(dialog, row, track) {
  const close = element("button", { type: "button", class: "close", "aria-label": "Close" }, "×");
  close.addEventListener("click", () => dialog.close());
  const title = element("h2", { id: "details-title" }, label(row));
  const setting = [...FILTERS.map((name) => row[name]), ...(row.reference === "clean" ? [] : [track])];
  const about = element("p", { class: "small" }, [...setting, ...row.marks].join(" · "));
  const parts = row.source === null ? measured(row) : published(row);
  dialog.replaceChildren(element("div", { class: "top" }, title, close), about, ...parts);
}

function published(row) {
  const facts = [["source", row.source], ["accuracy (%)", row.text.mean], ["standard deviation", row.std], ["n", row.n],
    ["not as here", row.differs], ["note", row.note]];
  return [
    element("p", {}, "Published by others and not measured here: there are no records."),
    list(facts.filter(([, value]) => value !== null)),
  ];
}

function measured(row) {
  const failed = row.failed ? `, ${row.failed} failed` : "";
  const count = row.runs.length === 1 ? "1 run" : `${row.runs.length} runs`;
  const number = row.mean === null ? "No result" : `${row.text.mean} ${row.text.spread ?? ""}`.trim() + ` %, n = ${row.n} ${row.counts}`;
  const parts = [element("p", { class: "headline" }, `${number}; ${count}${failed}.`)];
  const differing = inOrder(new Set(row.runs.flatMap((run) => Object.keys(run))));
  if (differing.length) {
    parts.push(element("h3", {}, "Where the runs differ"), runTable(row.runs, differing));
  }
  const rest = inOrder(new Set(Object.keys(row.shared))).filter((name) => !NAMED.includes(name));
  const columns = element("div", { class: "groups" });
  for (const [title, fields] of [...GROUPS, ["Further fields", rest]]) {
    const facts = fields.filter((name) => name in row.shared).map((name) => [name, row.shared[name]]);
    if (facts.length) columns.append(element("section", {}, element("h3", {}, title), list(facts)));
  }
  parts.push(columns);
  const key = row.shared.key ?? row.runs[0].key;
  parts.push(element("p", { class: "small" }, "On a copy of the repository, ", element("code", {}, `sepbench show ${key} --records results/records`), " prints a record."));
  return parts;
}

// Short fields first: a key is as long as all numbers together.
function inOrder(names) {
  const known = ["seed", ...NAMED].filter((name) => names.has(name));
  return [...new Set([...known, ...names])];
}

function runTable(runs, fields) {
  const head = element("tr", {}, ...fields.map((name) => element("th", { scope: "col" }, name)));
  const lines = runs.map((run) =>
    element("tr", {}, ...fields.map((name) => element("td", { class: long(run[name]) ? "long" : "" }, shown(run[name])))),
  );
  const table = element("table", {}, element("thead", {}, head), element("tbody", {}, ...lines));
  return element("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": "Runs" }, table);
}

function list(facts) {
  const pairs = facts.map(([name, value]) =>
    element("div", {}, element("dt", {}, name), element("dd", { class: long(value) ? "long" : "" }, shown(value))),
  );
  return element("dl", {}, ...pairs);
}

function long(value) {
  return [value].flat().some((one) => typeof one === "string" && /^[0-9a-f]{32,}$/.test(one));
}

function shown(value) {
  if (value === null || value === undefined) return "–";
  if (typeof value === "boolean") return value ? "yes" : "no";
  if (typeof value === "number") return String(Number(value.toPrecision(6)));
  if (Array.isArray(value)) return value.map(shown).join(", ") || "–";
  if (typeof value === "object") {
    return Object.entries(value).map(([name, one]) => `${name}=${shown(one)}`).join(", ") || "–";
  }
  return String(value).replace(/^(\d{4}-\d\d-\d\d)T/, "$1 ");
}
