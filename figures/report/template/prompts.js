// Bias scores before and after: of every occupation and object, or of the prompts that hold the words sought.
(function prompts() {
  const N_LISTED = 60;
  const { rows, band } = DATA.scores;
  const search = byId("prompt-search");
  const body = byId("scores").tBodies[0];
  let reach = 1;
  const place = (score) => (100 * score) / reach;

  function part(tag, attributes) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
    return made;
  }

  function track({ before, after, group }) {
    const made = part("svg", { class: "score", viewBox: "-100 0 200 12", "aria-hidden": "true" });
    const [from, to] = [place(before), place(after ?? before)];
    const tip = to < from ? 4 : -4;
    made.append(part("path", { class: "null", d: `M${place(band[0])} 0H${place(band[1])}V12H${place(band[0])}Z` }));
    made.append(part("path", { class: "mark", d: "M0 0V12" }));
    if (group !== "object" && Math.abs(to - from) > 2) {
      made.append(part("path", { class: "shaft", d: `M${from} 6H${to + tip}` }), part("path", { class: "head", d: `M${to} 6L${to + tip} 2.5V9.5Z` }));
    }
    made.append(part("circle", { class: group, cx: from, cy: 6, r: 2.6 }));
    return made;
  }

  function line(of) {
    const head = element("th", { scope: "row", className: "prompt" }, of.name, " ", element("small", {}, of.note));
    const numbers = element("td", { className: "n" }, `${number(of.before, 2)} → ${number(of.after, 2)}`);
    return element("tr", {}, head, element("td", { className: "track" }, track(of)), numbers, element("td", { className: "wide-only" }, of.route));
  }

  const group = (split) => (DATA.groups[split] || "").toLowerCase();
  const means = rows.map((row) => ({ ...row, name: row.subject, note: row.group === "object" ? "object" : group(row.split), route: "" }));
  const single = (i) => ({
    name: PROMPTS.prompt[i], group: PROMPTS.group[i], note: [PROMPTS.group[i], group(PROMPTS.split[i])].filter(Boolean).join(", "),
    before: PROMPTS.bias_score[i], after: PROMPTS.bias_score_corrected[i],
    route: PROMPTS.route[i] + (PROMPTS.is_abstained[i] ? " (abstains: unsure)" : ""),
  });

  function draw() {
    const query = search.value.trim();
    const found = query ? matching(query) : [];
    const shown = query ? found.slice(0, N_LISTED).map(single) : means;
    reach = 1.05 * Math.max(1e-9, ...[...band, ...shown.flatMap((of) => [of.before, of.after ?? 0])].map(Math.abs));
    body.replaceChildren(...shown.map(line));
    const known = `${count(PROMPTS.prompt.length)} prompts`;
    const all = PROMPTS.prompt.length < DATA.n_prompts ? ` (evenly chosen of ${count(DATA.n_prompts)})` : "";
    const told = byId("prompt-count");
    if (!query) told.textContent = `Means of every occupation and object; search ${known}${all} for single ones.`;
    else if (found.length) told.textContent = `${count(found.length)} of ${known}${all}${found.length > N_LISTED ? `, the first ${N_LISTED} are listed` : ""}`;
    else told.replaceChildren(`0 of ${known}${all}. Measure any prompt: `, element("code", {}, `moesd-probe inspect ${DATA.run} '${query.replaceAll("'", "'\\''")}'`));
  }

  byId("explorer").hidden = false;
  search.addEventListener("input", draw);
  draw();
})();
