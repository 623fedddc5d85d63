// The table: plain HTML elements, whose text is never read as HTML.

const SVG = "http://www.w3.org/2000/svg";
const AT_FIRST = 250;

function headers(track) {
  return [
    ["method", "Method"],
    ["mean", "Accuracy (%)"],
    [null, "Interval on a scale of 0 to 100 %"],
    ...COUNTS.map((name) => [name, capital(name)]),
    ...beside(track).map(({ name, title }) => [name, title]),
    ...data.columns.map(({ name, title }) => [name, capital(title)]),
  ];
}

function capital(text) {
  return text[0].toUpperCase() + text.slice(1);
}

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function shape(name, attributes) {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function fillHead(line, view) {
  line.replaceChildren(
    ...headers(view.track).map(([name, text]) => {
      const head = element("th", { scope: "col", role: "columnheader", class: kindOf(name) });
      if (name === null) {
        head.setAttribute("aria-label", text);
        head.append(element("span", { class: "scale", "aria-hidden": "true" }, ...scale()));
        return head;
      }
      const sorted = view.sort === name;
      if (sorted) head.setAttribute("aria-sort", view.descending ? "descending" : "ascending");
      const arrow = element("span", { class: "arrow", "aria-hidden": "true" }, !sorted ? "" : view.descending ? "▼" : "▲");
      head.append(element("button", { type: "button", "data-sort": name }, text, arrow));
      return head;
    }),
  );
}

function kindOf(name) {
  if (name === null) return "graphic";
  if (FILTERS.includes(name)) return `context ${name}`;
  if (COUNTS.includes(name)) return `count ${name}`;
  return ["method", "mean"].includes(name) ? name : `beside ${name}`;
}

function scale() {
  return ["0", "50", "100"].map((text) => element("span", {}, text));
}

// Each group, or without groups ours and what others published, is a body of the table under its own heading.
function bodies(rows, limit, { grouped, track }, open) {
  const ours = rows.filter((row) => row.source === null);
  const theirs = rows.filter((row) => row.source !== null);
  let left = limit;
  return (grouped ? groupsOf(rows) : [ours, theirs])
    .filter((own) => own.length && left > 0)
    .map((own) => {
      const shown = own.slice(0, left);
      left -= shown.length;
      const body = element("tbody", { class: own[0].source === null ? "measured" : "published", role: "rowgroup" });
      body.append(heading(own[0], grouped, track), ...shown.map((row) => line(row, track, open)));
      return body;
    });
}

function heading(first, grouped, track) {
  const kind = first.source === null ? "Measured here" : "Published elsewhere";
  const cell = element("th", { colspan: headers(track).length, scope: "rowgroup", role: "rowheader" });
  cell.append(grouped ? element("span", { class: "setting" }, settingOf(first)) : kind);
  if (grouped && first.source !== null) cell.prepend(element("span", { class: "tag" }, "published"));
  if (grouped && first.changed) cell.prepend(element("span", { class: "tag strong" }, "changed settings"));
  return element("tr", { class: "heading", role: "row" }, cell);
}

function line(row, track, open) {
  const cell = (name, ...content) => element("td", { class: name, role: "cell" }, ...content);
  const number = (name, described, ...content) => {
    const button = element("button", { type: "button", class: "number", "aria-label": described }, ...content);
    button.addEventListener("click", () => open(row));
    return cell(name, button);
  };
  const made = element("tr", { role: "row" });
  if (row.reference) made.classList.add("reference");
  if (row.changed) made.classList.add("changed");
  if (row.weak.length) made.classList.add("weak");
  made.append(
    element("th", { scope: "row", role: "rowheader", class: "method" }, ...naming(row)),
    number("mean", `${spoken(row)}: open its records`, ...accuracy(row)),
    cell("graphic", graphic(row)),
    ...COUNTS.map((name) => number(`count ${name}`, `${name} ${row[name] ?? "not stated"}: open its records`, String(row[name] ?? "–"))),
    ...beside(track).map(({ name, title }) => audited(name, title, row)),
    ...FILTERS.map((name) => cell(`context ${name}`, row[name])),
  );
  return made;
}

// On a narrow screen a number says itself what it is.
function audited(name, title, row) {
  const label = element("span", { class: "what" }, `${title} `);
  return element("td", { class: `beside ${name}`, role: "cell" }, label, row.text[name] ?? "–");
}

function naming(row) {
  const parts = [element("span", { class: "name" }, row.method)];
  if (row.reference) parts.push(element("span", { class: "tag" }, `${row.reference} reference`));
  if (row.parameters) parts.push(element("span", { class: "small" }, row.parameters));
  if (row.changed) parts.push(element("span", { class: "tag strong" }, "changed settings"));
  parts.push(...row.marks.map((mark) => element("span", { class: "tag" }, mark)));
  parts.push(...row.weak.map((why) => element("span", { class: "tag why" }, why)));
  if (row.failed) parts.push(element("span", { class: "tag" }, `${row.failed} failed`));
  if (row.source) parts.push(element("span", { class: "small source" }, row.source));
  if (row.differs) parts.push(element("span", { class: "small differs" }, `not as here: ${row.differs}`));
  if (row.note) parts.push(element("span", { class: "small" }, row.note));
  return parts;
}

function accuracy(row) {
  const mean = element("span", { class: "value" }, row.text.mean ?? "–");
  return [mean, element("span", { class: "spread" }, row.text.spread ?? "")];
}

function spoken(row) {
  if (row.mean === null) return "no accuracy, all runs failed";
  return `accuracy ${row.text.mean} % ${(row.text.spread ?? "").replace("sd", "standard deviation")}`.trim();
}

function graphic(row) {
  const svg = shape("svg", { "aria-hidden": "true" });
  const at = (value) => `${Math.min(100, Math.max(0, value))}%`;
  svg.append(shape("line", { class: "axis", x1: "0%", x2: "100%", y1: "50%", y2: "50%" }));
  if (row.clean !== null && row.reference !== "clean") {
    svg.append(shape("line", { class: "clean", x1: at(row.clean), x2: at(row.clean), y1: "10%", y2: "90%" }));
  }
  if (row.chance !== null) {
    svg.append(shape("line", { class: "chance", x1: at(row.chance), x2: at(row.chance), y1: "20%", y2: "80%" }));
  }
  if (row.mean === null) return svg;
  if (row.half_width !== null) {
    const ends = { x1: at(row.mean - row.half_width), x2: at(row.mean + row.half_width) };
    svg.append(shape("line", { class: "interval", ...ends, y1: "50%", y2: "50%" }));
  }
  const kind = row.source !== null ? "mean published" : row.weak.length ? "mean weak" : "mean";
  svg.append(shape("circle", { class: kind, cx: at(row.mean), cy: "50%", r: 4 }));
  return svg;
}
