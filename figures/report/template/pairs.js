// Pairs of images of one occupation: the same noise, before and after the correction.
(function pairs() {
  const SIDES = { base: "before", moesd: "after" };
  const select = byId("pairs-subject");
  if (!select) return;

  function picture(side, pair, subject) {
    const { image, perceived } = pair[side];
    const alt = `${subject}, ${SIDES[side]}, seed ${pair.seed}: perceived ${perceived}`;
    return element("figure", {}, element("img", { src: image, alt }), element("figcaption", {}, `${SIDES[side]}: ${perceived}`));
  }

  function draw() {
    const entry = DATA.pairs[Number(select.value)];
    byId("pairs-list").replaceChildren(...entry.pairs.map((pair) => element("li", {}, ...Object.keys(SIDES).map((side) => picture(side, pair, entry.subject)))));
  }

  function step(by) {
    select.selectedIndex = (select.selectedIndex + by + select.length) % select.length;
    draw();
  }

  byId("pairs").hidden = false;
  select.addEventListener("input", draw);
  byId("pairs-previous").addEventListener("click", () => step(-1));
  byId("pairs-next").addEventListener("click", () => step(1));
  draw();
})();
