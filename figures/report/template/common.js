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

// A share of n in percent, with Wilson's 95 % interval.
function share(k, n) {
  const z = 1.959963984540054;
  const middle = (k + (z * z) / 2) / (n + z * z);
  const half = (z * Math.sqrt((k * (n - k)) / n + (z * z) / 4)) / (n + z * z);
  const [value, low, high] = [k / n, middle - half, middle + half].map((part) => number(100 * part, 1));
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
