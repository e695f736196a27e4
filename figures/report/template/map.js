// The map: every prompt a point, found by words, with arrows from before to after the correction.
(function map() {
  const N_LISTED = 12;
  const isDark = () => matchMedia("(prefers-color-scheme: dark)").matches;
  const place = byId("map-plot");
  const search = byId("prompt-search");
  const state = { plane: "pca", arrows: true, query: "", chosen: null };

  // Plotly reads a little HTML in its texts; a prompt must not be read as any.
  const plain = (text) => text.replace(/[&<>]/g, (c) => ({ "&": "&amp;", "<": "&lt;", ">": "&gt;" })[c]);
  const at = (rows, name) => rows.map((i) => PROMPTS[name][i]);
  const points = (rows, more) => ({
    type: "scatter", mode: "markers", customdata: rows, hoverinfo: "text",
    x: at(rows, `${state.plane}_x`), y: at(rows, `${state.plane}_y`),
    hovertext: rows.map((i) => plain(PROMPTS.prompt[i])), ...more,
  });

  function groupTraces(found) {
    const isFound = new Set(found);
    const isNarrow = place.clientWidth < 480;
    const bar = isNarrow
      ? { orientation: "h", x: 0.5, y: 1.02, yanchor: "bottom", len: 0.9, title: { text: "women’s share", side: "top" } }
      : { len: 0.8, title: { text: "women’s share", side: "right" } };
    const groups = [...new Set(PROMPTS.group)].sort((a, b) => (a === "neutral") - (b === "neutral"));
    return groups.map((group) => {
      const rows = range(PROMPTS.group.length).filter((i) => PROMPTS.group[i] === group);
      const isNeutral = group === "neutral";
      return points(rows, {
        name: group,
        ...(state.query && { selectedpoints: range(rows.length).filter((k) => isFound.has(rows[k])) }),
        selected: { marker: { opacity: 1 } },
        unselected: { marker: { opacity: 0.14 } },
        marker: {
          symbol: DATA.style.symbols[group] || "diamond",
          size: isNeutral ? 8 : 6,
          color: isNeutral ? at(rows, "share_women") : DATA.style.colors[group] || color("quiet"),
          opacity: isNeutral ? 0.95 : isDark() ? 0.85 : 0.6,
          line: { width: isNeutral ? 0.6 : 0, color: color("ink") },
          ...(isNeutral && {
            colorscale: DATA.style.share, cmin: 0, cmax: 1, showscale: true,
            colorbar: { ...bar, thickness: 10, outlinewidth: 0 },
          }),
        },
      });
    });
  }

  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  const moves = (i) => PROMPTS.corrected_x[i] !== null;

  function arrowTrace(arrows, name, ink, width) {
    return {
      type: "scatter", mode: "lines+markers", name, hoverinfo: "text",
      x: arrows.flatMap((a) => [a.from[0], a.to[0], null]),
      y: arrows.flatMap((a) => [a.from[1], a.to[1], null]),
      hovertext: arrows.flatMap((a) => [plain(a.name), plain(a.name), ""]),
      line: { color: ink, width },
      marker: { symbol: "arrow", angleref: "previous", color: ink, size: arrows.flatMap(() => [0, 6 + 3 * width, 0]), opacity: 1 },
    };
  }

  // One arrow an occupation: the mean of its neutral prompts before, and after.
  function occupationArrows() {
    const rows = new Map();
    for (const i of range(PROMPTS.group.length)) {
      if (PROMPTS.group[i] !== "neutral" || !moves(i)) continue;
      rows.set(PROMPTS.subject[i], [...(rows.get(PROMPTS.subject[i]) || []), i]);
    }
    return [...rows].map(([name, own]) => ({
      name,
      from: ["pca_x", "pca_y"].map((axis) => mean(at(own, axis))),
      to: ["corrected_x", "corrected_y"].map((axis) => mean(at(own, axis))),
    }));
  }

  function traces(found) {
    const drawn = groupTraces(found);
    const ring = (rows, size) => points(rows, {
      name: "found", showlegend: false, hoverinfo: "skip",
      marker: { symbol: "circle-open", size, color: color("ink"), line: { width: 1.6 } },
    });
    const flat = state.plane === "pca";
    if (state.arrows && flat) drawn.push(arrowTrace(occupationArrows(), "before → after", color("corrected"), 1.4));
    if (state.query) drawn.push(ring(found, 13));
    if (state.chosen !== null) {
      const i = state.chosen;
      drawn.push(ring([i], 19));
      const arrow = { name: PROMPTS.prompt[i], from: [PROMPTS.pca_x[i], PROMPTS.pca_y[i]], to: [PROMPTS.corrected_x[i], PROMPTS.corrected_y[i]] };
      if (flat && moves(i)) drawn.push({ ...arrowTrace([arrow], "chosen", color("ink"), 2.4), showlegend: false });
    }
    return drawn;
  }

  function layout() {
    const names = state.plane === "pca" ? ["first principal component", "second principal component"] : ["UMAP", ""];
    const axis = (text) => ({ title: { text, font: { size: 13 }, standoff: 10 }, showgrid: false, zeroline: false, showticklabels: false, ticks: "", linecolor: color("rule"), showline: true });
    // Where the legend takes more lines, Plotly pushes a title of the axis up among the points.
    const isNarrow = place.clientWidth < 480;
    const below = { xref: "paper", yref: "paper", x: 0.5, y: 0, yanchor: "top", yshift: -4, showarrow: false };
    return {
      height: isNarrow ? 560 : 480, margin: { l: 28, r: 8, t: 8, b: 76 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { family: getComputedStyle(document.body).fontFamily, size: 13, color: color("ink") },
      xaxis: axis(isNarrow ? "" : names[0]), yaxis: axis(names[1]), dragmode: "pan", hovermode: "closest", uirevision: state.plane,
      hoverlabel: { bgcolor: color("tint"), bordercolor: color("rule"), font: { color: color("ink") } },
      annotations: isNarrow ? [{ ...below, text: names[0] }] : [],
      legend: { orientation: "h", y: isNarrow ? -0.14 : -0.1, yanchor: "top", itemsizing: "constant" },
    };
  }

  function list(found) {
    const buttons = found.slice(0, N_LISTED).map((i) => {
      const button = element("button", { type: "button", value: i, onclick: () => choose(i) }, PROMPTS.prompt[i]);
      return element("li", {}, button);
    });
    byId("prompt-results").replaceChildren(...(state.query ? buttons : []));
    const of = `${count(PROMPTS.prompt.length)} prompts`;
    const all = PROMPTS.prompt.length < DATA.n_prompts ? ` (evenly chosen of ${count(DATA.n_prompts)})` : "";
    const listed = found.length > N_LISTED ? `, the first ${N_LISTED} are listed` : "";
    byId("prompt-count").textContent = state.query ? `${count(found.length)} of ${of}${all} found${listed}` : `${of}${all}`;
  }

  // The list stays as it is when one of its prompts is chosen, or the keyboard would lose its place.
  function tell() {
    const i = state.chosen;
    for (const button of document.querySelectorAll("#prompt-results button")) {
      button.setAttribute("aria-pressed", String(Number(button.value) === i));
    }
    if (i === null) return;
    const share = PROMPTS.share_women[i];
    const facts = [
      ["Prompt", PROMPTS.prompt[i]],
      ["Group", PROMPTS.group[i]],
      ["Subject", PROMPTS.subject[i] + (PROMPTS.split[i] === "test" ? " (never seen)" : "")],
      ["Women’s share in the labour market", share === null ? "unknown" : `${Math.round(100 * share)} %`],
      ["Bias score before → after (male +)", `${number(PROMPTS.bias_score[i])} → ${number(PROMPTS.bias_score_corrected[i])}`],
      ["Is", PROMPTS.route_truth[i] || "unknown"],
      ["Closed-form gate", PROMPTS.route_closed[i] || "unknown"],
      ["Trained gate", (PROMPTS.route_trained[i] || "unknown") + (PROMPTS.is_abstained?.[i] ? " (abstains: unsure)" : "")],
    ];
    byId("prompt-detail").replaceChildren(...facts.map(([name, value]) => element("div", {}, element("dt", {}, name), element("dd", {}, value))));
  }

  function choose(i) {
    state.chosen = i;
    draw();
  }

  function draw() {
    const found = state.query ? matching(state.query) : [];
    Plotly.react(place, traces(found), layout(), { displaylogo: false, responsive: true, scrollZoom: false, modeBarButtonsToRemove: ["select2d", "lasso2d", "autoScale2d"] });
    tell();
  }

  function seek(query) {
    state.query = query;
    list(query ? matching(query) : []);
    draw();
  }

  byId("explorer").hidden = false;
  document.querySelector("details.still").open = false;
  search.addEventListener("input", () => seek(search.value.trim()));
  search.addEventListener("keydown", (event) => {
    const first = state.query ? matching(state.query)[0] : undefined;
    if (event.key === "Enter" && first !== undefined) choose(first);
  });
  for (const radio of document.getElementsByName("plane")) {
    if (radio.value === "umap" && PROMPTS.umap_x.includes(null)) radio.disabled = true;
    radio.addEventListener("change", () => { state.plane = radio.value; byId("arrows").disabled = radio.value !== "pca"; draw(); });
  }
  byId("arrows").addEventListener("change", (event) => { state.arrows = event.target.checked; draw(); });
  onThemeChange(draw);
  seek("");
  place.on("plotly_click", (event) => { const i = event.points[0].customdata; if (i !== undefined) choose(i); });
})();
