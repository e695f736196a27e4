// The closed-form gate at other thresholds, and the prompts that it misclassifies.
(function gate() {
  const N_LISTED = 50;
  const sliders = { neutral: byId("neutral-below"), explicit: byId("explicit-above") };
  const rows = range(PROMPTS.prompt.length).filter((i) => PROMPTS.bias_score[i] !== null);
  const reach = 1.1 * Math.max(DATA.gate.explicit_above, ...rows.map((i) => Math.abs(PROMPTS.bias_score[i])));

  function classify(biasScore, neutral, explicit) {
    const size = Math.abs(biasScore);
    if (size < neutral) return "neutral";
    if (size > explicit) return "explicit";
    return biasScore > 0 ? "male-skewed" : "female-skewed";
  }

  function reset() {
    for (const [name, value] of [["neutral", DATA.gate.neutral_below], ["explicit", DATA.gate.explicit_above]]) {
      Object.assign(sliders[name], { min: 0, max: reach, step: "any", value });
    }
    draw();
  }

  function draw() {
    const neutral = Number(sliders.neutral.value);
    const explicit = Math.max(neutral, Number(sliders.explicit.value));
    byId("neutral-below-value").textContent = number(neutral);
    byId("explicit-above-value").textContent = number(explicit);
    const answers = new Map(rows.map((i) => [i, classify(PROMPTS.bias_score[i], neutral, explicit)]));
    const right = rows.filter((i) => answers.get(i) === PROMPTS.route_truth[i]).length;
    byId("gate-right").textContent = `With these thresholds the closed-form gate routes ${count(right)} of ${count(rows.length)} prompts correctly, ${share(right, rows.length)}.`;
    confusion(answers);
    list(answers);
  }

  function confusion(answers) {
    const table = byId("gate-confusion");
    const head = element("tr", {}, element("th", { scope: "col" }, "True class"), ...CLASSES.map((name) => element("th", { scope: "col", className: "n" }, name)));
    table.tHead.replaceChildren(head);
    table.tBodies[0].replaceChildren(...CLASSES.map((truth) => {
      const own = rows.filter((i) => PROMPTS.route_truth[i] === truth);
      return row([truth, ...CLASSES.map((answer) => own.filter((i) => answers.get(i) === answer).length)], 1);
    }));
  }

  function list(answers) {
    const show = byId("gate-show").value;
    const found = new Set(matching(byId("gate-search").value));
    const isShown = {
      closed: (i) => answers.get(i) !== PROMPTS.route_truth[i],
      trained: (i) => PROMPTS.route_trained[i] !== PROMPTS.route_truth[i],
      all: () => true,
    }[show];
    const shown = rows.filter((i) => found.has(i) && isShown(i)).sort((a, b) => Math.abs(PROMPTS.bias_score[b]) - Math.abs(PROMPTS.bias_score[a]));
    byId("gate-count").textContent = `${count(shown.length)} prompts${shown.length > N_LISTED ? `, the first ${N_LISTED} are listed` : ""}`;
    byId("gate-prompts").tBodies[0].replaceChildren(...shown.slice(0, N_LISTED).map((i) => {
      const line = row([PROMPTS.prompt[i], number(PROMPTS.bias_score[i]), PROMPTS.route_truth[i], answers.get(i), PROMPTS.route_trained[i]]);
      line.cells[0].className = "prompt";
      line.cells[1].className = "n";
      return line;
    }));
  }

  byId("gate-explorer").hidden = false;
  for (const slider of Object.values(sliders)) slider.addEventListener("input", draw);
  for (const id of ["gate-show", "gate-search"]) byId(id).addEventListener("input", draw);
  byId("gate-reset").addEventListener("click", reset);
  reset();
})();
