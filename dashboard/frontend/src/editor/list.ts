// The rows of the key table: made from the page's <template>, kept by key, painted in place.

import { type Model, type Row, WORDS } from "./model";
import type { KeyState } from "./saver";
import { kindOf, previewOf } from "./values";

export type Shown = { row: Row; state: KeyState | null; isOpen: boolean; isLost: boolean };

export class KeyList {
  private readonly nodes = new Map<string, HTMLElement>();
  private readonly painted = new WeakMap<HTMLElement, string>(); // what each row shows

  constructor(
    private readonly list: HTMLElement,
    private readonly template: HTMLTemplateElement,
    private readonly keyUrl: string,
  ) {
    for (const node of list.querySelectorAll<HTMLElement>(":scope > .key")) {
      this.nodes.set(node.dataset.key ?? "", node);
    }
  }

  node(key: string): HTMLElement | null {
    return this.nodes.get(key) ?? null;
  }

  slot(key: string): HTMLElement | null {
    return this.nodes.get(key)?.querySelector("[data-slot]") ?? null;
  }

  draw(shown: Shown[], model: Model): void {
    const there = new Set(shown.map(({ row }) => row.key));
    for (const [key, node] of this.nodes) {
      if (there.has(key)) continue;
      node.remove();
      this.nodes.delete(key);
    }
    let at = this.list.firstElementChild;
    for (const each of shown) {
      const node = this.nodes.get(each.row.key) ?? this.make(each.row.key);
      this.paint(node, each, model);
      if (node === at) at = at.nextElementSibling;
      else this.list.insertBefore(node, at);
    }
    this.list.hidden = shown.length === 0;
  }

  private make(key: string): HTMLElement {
    const node = this.template.content.querySelector(".key")?.cloneNode(true) as HTMLElement;
    node.dataset.key = key;
    for (const place of node.querySelectorAll('[data-field="key"]')) place.textContent = key;
    const link = node.querySelector<HTMLAnchorElement>("[data-edit]");
    if (link) link.href = `${this.keyUrl}?key=${encodeURIComponent(key)}`;
    this.nodes.set(key, node);
    return node;
  }

  // Only where something moved, because every keystroke draws all rows and there can be thousands.
  private paint(node: HTMLElement, each: Shown, model: Model): void {
    const { row, state, isOpen, isLost } = each;
    const shows = JSON.stringify([
      row.status,
      row.value.raw,
      row.change?.author,
      state !== null,
      isOpen,
      isLost,
      model.layers[row.key],
      model.hints[row.key],
      isKnown(model, row.key),
    ]);
    if (this.painted.get(node) === shows) return;
    paint(node, each, model);
    this.painted.set(node, shows);
  }
}

function isKnown(model: Model, key: string): boolean {
  return Object.hasOwn(model.entries, key) || Object.hasOwn(model.changes, key);
}

function paint(node: HTMLElement, { row, state, isOpen, isLost }: Shown, model: Model): void {
  if (node.dataset.status !== row.status) node.dataset.status = row.status;
  node.toggleAttribute("data-open", isOpen);
  const preview = find(node, '[data-field="preview"]');
  setText(preview, previewOf(row.value));
  preview.dataset.kind = kindOf(row.value.raw);
  const word = find(node, '[data-field="word"]');
  setText(word, isLost ? "Not saved" : WORDS[row.status]);
  word.dataset.status = isLost ? "removed" : row.status;
  setText(find(node, '[data-field="by"]'), row.change?.author ?? "");
  const layer = row.status === "same" ? (model.layers[row.key] ?? "") : "";
  setText(find(node, '[data-field="layer"]'), layer && `from ${layer}`);
  const hint = find(node, '[data-field="hint"]');
  setText(hint, model.hints[row.key] ?? "");
  hint.hidden = !model.hints[row.key];
  find(node, "[data-undo]").hidden = row.status === "same" && !state && !isLost;
  find(node, "[data-remove]").hidden =
    row.status === "removed" || !isKnown(model, row.key) || layer !== "";
}

function find(node: HTMLElement, selector: string): HTMLElement {
  return node.querySelector(selector) as HTMLElement;
}

function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}
