"use strict";
// What a run holds is text and numbers: it is set as text, never as HTML, and never run.
const DATA = JSON.parse(document.getElementById("data").textContent);
const PROMPTS = DATA.prompts;
const CLASSES = ["explicit", "male-skewed", "female-skewed", "neutral"];

const byId = (id) => document.getElementById(id);
const range = (n) => Array.from({ length: n }, (_, i) => i);
const count = (n) => n.toLocaleString("en-US");

function number(value, digits = 3) {
  if (value === null || value === undefined) return "unknown";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

// The share under which k or more of n are seen 25 times in 1,000: by halving, from exact sums.
function lowEnd(k, n) {
  if (k === 0) return 0;
  let [low, high] = [0, k / n];
  for (let step = 0; step < 40; step++) {
    const p = (low + high) / 2;
    let [log, sum] = [n * Math.log1p(-p), 0]; // of the probability of no hit
    for (let i = 0; i <= n; i++) {
      if (i >= k) sum += Math.exp(log);
      log += Math.log((n - i) / (i + 1)) + Math.log(p) - Math.log1p(-p);
    }
    if (sum < 0.025) low = p;
    else high = p;
  }
  return low;
}

// A share of n in percent, with its exact 95 % interval (Clopper and Pearson).
function share(k, n) {
  const ends = [k / n, lowEnd(k, n), 1 - lowEnd(n - k, n)];
  const [value, low, high] = ends.map((part) => number(100 * part, 1));
  return `${value}\u00a0% [${low}, ${high}]`;
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

function row(cells, heads = 0) {
  return element("tr", {}, ...cells.map((cell, i) => {
    const isNumber = typeof cell === "number" || cell instanceof Number;
    const made = element(i < heads ? "th" : "td", { className: isNumber ? "n" : "" }, String(cell));
    if (i < heads) made.scope = "row";
    return made;
  }));
}

// Indices of the prompts that hold every word; all of them if no word is given.
function matching(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return range(PROMPTS.prompt.length).filter((i) => {
    const text = `${PROMPTS.prompt[i]} ${PROMPTS.group[i]} ${PROMPTS.subject[i]}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}

function color(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

function onThemeChange(redraw) {
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
}
