// The rows that are shown as CSV, numbers unrounded.

function csvOf(rows, { track, value }) {
  const audit = beside(track).map(({ name }) => name);
  const names = ["source", "track", "method", "parameters", "marks", ...FILTERS, "value", "mean", "half_width", "std", ...COUNTS, "failed",
    ...audit, "differs", "keys"];
  const lines = rows.map((row) => {
    const keys = row.shared.key ? [row.shared.key] : row.runs.map((run) => run.key);
    const setting = Object.fromEntries(FILTERS.map((name) => [name, row.shared[name] ?? row[name]])); // as commands take it
    const fields = { ...row, ...setting, track, value, source: row.source ?? "sepbench", marks: row.marks.join("; "), keys: keys.join(" ") };
    return names.map((name) => quoted(fields[name])).join(",");
  });
  return [names.join(","), ...lines].join("\r\n") + "\r\n";
}

function quoted(value) {
  const text = value === null ? "" : String(value);
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

function save(text, name) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = element("a", { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}
