// How many instances are how far: a bar and words, as parts/bar.html draws them.

import { look, STATES } from "./tile";

const SVG = "http://www.w3.org/2000/svg";

// The bar is of the living ones; the words name all.
export function drawCounts(place: Element, counts: Map<string, number>): void {
  const count = (state: string) => counts.get(state) ?? 0;
  const states = Object.keys(STATES).filter(count);
  const key = states.map((state) => `${state}:${counts.get(state)}`).join(" ");
  if (place.getAttribute("data-drawn") === key) return;
  place.setAttribute("data-drawn", key);
  const bar = document.createElementNS(SVG, "svg");
  bar.setAttribute("class", "bar");
  bar.setAttribute("viewBox", "0 0 100 8");
  bar.setAttribute("preserveAspectRatio", "none");
  bar.setAttribute("aria-hidden", "true");
  const words = document.createElement("p");
  words.className = "counts";
  const alive = states.reduce((sum, state) => sum + (state === "gone" ? 0 : count(state)), 0);
  let at = 0;
  for (const state of states) {
    const { tone, icon: drawing, word } = look(state);
    const width = state === "gone" ? 0 : (100 * count(state)) / alive;
    const part = document.createElementNS(SVG, "rect");
    part.setAttribute("data-tone", tone);
    part.setAttribute("x", String(at));
    part.setAttribute("width", String(width));
    part.setAttribute("height", "8");
    at += width;
    if (width) bar.append(part);
    const label = document.createElement("span");
    label.className = "state";
    label.dataset.tone = tone;
    label.dataset.state = state;
    label.append(newIcon(drawing), `${count(state)} ${word.toLowerCase()}`);
    words.append(label, " ");
  }
  place.replaceChildren(bar, words);
}

function newIcon(name: string): SVGElement {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  const use = document.createElementNS(SVG, "use");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
}
