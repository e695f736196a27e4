"use strict";
// What a run holds is text and numbers: it is set as text, never as HTML, and never run.
const DATA = JSON.parse(document.getElementById("data").textContent);
const PROMPTS = DATA.prompts;

const byId = (id) => document.getElementById(id);
const range = (n) => Array.from({ length: n }, (_, i) => i);
const count = (n) => n.toLocaleString("en-US");

function number(value, digits = 3) {
  if (value === null || value === undefined) return "unknown";
  const text = value.toFixed(digits);
  return Number(text) === 0 ? text.replace("-", "") : text.replace("-", "\u2212");
}

function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}

// Folds are closed by this script and open again for print, so that all is shown without scripts.
const folds = document.querySelectorAll("details:not(.stays)");
for (const fold of folds) fold.open = false;
addEventListener("beforeprint", () => folds.forEach((fold) => { fold.open = true; }));

// Indices of the prompts that hold every word; all of them if no word is given.
function matching(query) {
  const words = query.toLowerCase().split(/\s+/).filter(Boolean);
  return range(PROMPTS.prompt.length).filter((i) => {
    const text = `${PROMPTS.prompt[i]} ${PROMPTS.group[i]} ${PROMPTS.subject[i]}`.toLowerCase();
    return words.every((word) => text.includes(word));
  });
}
