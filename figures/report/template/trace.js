// Layer by token: one measure of the tracing study as a table, layers read from below.
(function trace() {
  const POSITIONS = ["start", "person", "between", "subject", "end", "pooled", "all"];
  const table = DATA.trace;
  if (!table) return;
  const measure = byId("trace-measure");
  const site = byId("trace-site");
  const distinct = (name, rows) => [...new Set(rows.map((i) => table[name][i]))];
  const all = range(table.value.length);

  function options(select, names, first) {
    select.replaceChildren(...names.map((name) => element("option", { value: name, selected: name === first }, name)));
  }

  function cell(i, largest) {
    if (i === undefined) return element("td", { className: "n" }, "");
    const value = table.value[i];
    const made = element("td", { className: "n" }, number(value, 2));
    if (table.low && table.low[i] !== null) {
      made.append(" ", element("small", {}, `[${number(table.low[i], 2)}, ${number(table.high[i], 2)}]`));
    }
    const share = largest > 0 ? Math.round((45 * Math.abs(value)) / largest) : 0;
    made.style.background = `color-mix(in srgb, var(--corrected) ${share}%, transparent)`;
    return made;
  }

  function draw() {
    const rows = all.filter((i) => table.measure[i] === measure.value && table.site[i] === site.value && table.value[i] !== null);
    const layers = distinct("layer", rows).sort((a, b) => b - a);
    const known = distinct("position", rows);
    const positions = [...POSITIONS.filter((name) => known.includes(name)), ...known.filter((name) => !POSITIONS.includes(name))];
    const largest = Math.max(...rows.map((i) => Math.abs(table.value[i])));
    const at = new Map(rows.map((i) => [`${table.layer[i]} ${table.position[i]}`, i]));
    const n = table.n ? distinct("n", rows).map(count).join(", ") : "unknown";
    byId("trace-caption").textContent = `${measure.value} by layer and token, ${site.value}; intervals are 95 %, n = ${n}. The stronger the colour, the larger the size.`;
    const view = byId("trace-table");
    view.tHead.replaceChildren(element("tr", {}, ...["layer", ...positions].map((name, i) => element("th", { scope: "col", className: i ? "n" : "" }, name))));
    view.tBodies[0].replaceChildren(...layers.map((layer) => element("tr", {}, element("th", { scope: "row" }, String(layer)), ...positions.map((name) => cell(at.get(`${layer} ${name}`), largest)))));
  }

  function chooseMeasure() {
    const kept = site.value;
    const sites = distinct("site", all.filter((i) => table.measure[i] === measure.value));
    options(site, sites, sites.includes(kept) ? kept : sites[0]);
    draw();
  }

  byId("trace").hidden = false;
  const measures = distinct("measure", all);
  options(measure, measures, measures.includes("correlation") ? "correlation" : measures[0]);
  measure.addEventListener("input", chooseMeasure);
  site.addEventListener("input", draw);
  chooseMeasure();
})();
