// <instance-grid>: the tiles of a service in an environment. Frames patch single cells, once per
// animation frame; a snapshot from the server patches all of them by the same way.

import type { Frame } from "../live/link";
import { fetchPart } from "../live/part";
import { onPoll } from "../live/root";
import { field, icon, set, setText, show, when } from "../ui/dom";
import { drawCounts } from "./counts";
import { before, type Drawn, drawn, latency, look, STAGES, Store, type Tile } from "./tile";

const SPOKEN_MS = 5_000; // between two sentences for screen readers

class InstanceGrid extends HTMLElement {
  private store = new Store([], 0);
  private nodes = new Map<string, HTMLElement>();
  private dirty = false;
  private unregister: (() => void) | null = null;
  private spokenAt = 0;
  private spoken = "";
  private filter = "";
  private readonly heard = (event: Event) => this.hear((event as CustomEvent<Frame>).detail);

  connectedCallback(): void {
    this.store = new Store(read(this), Number(this.dataset.position));
    for (const node of this.querySelectorAll<HTMLElement>("[data-tiles] > .tile")) {
      this.nodes.set(node.dataset.id ?? "", node);
    }
    document.addEventListener("live:frame", this.heard);
    this.unregister = onPoll(() => this.refetch());
    const filter = this.querySelector<HTMLInputElement>("[data-filter]");
    filter?.addEventListener("input", () => {
      this.filter = filter.value.trim().toLowerCase();
      this.soon();
    });
    this.soon();
  }

  disconnectedCallback(): void {
    document.removeEventListener("live:frame", this.heard);
    this.unregister?.();
  }

  private get head(): number {
    return Number(this.dataset.head);
  }

  private hear(frame: Frame): void {
    if (frame.kind === "heartbeat" || frame.stream !== this.dataset.stream) return;
    if (frame.kind === "instance.changed" || frame.kind === "instance.gone") {
      if (this.store.put(frame.data as Tile, frame.position)) this.soon();
    } else if (frame.kind === "release.published") {
      const { release } = frame.data as { release: number };
      if (release > this.head) this.dataset.head = String(release);
      this.soon();
    }
  }

  private async refetch(): Promise<boolean> {
    const text = await fetchPart(this.dataset.url ?? "");
    if (text === null) return false;
    const fresh = new DOMParser().parseFromString(text, "text/html").querySelector("instance-grid");
    if (!(fresh instanceof HTMLElement)) return false;
    this.store.replace(read(fresh), Number(fresh.dataset.position));
    this.dataset.head = String(Math.max(this.head, Number(fresh.dataset.head)));
    const asOf = fresh.querySelector<HTMLElement>("as-of")?.dataset.at;
    const shown = this.querySelector<HTMLElement>("as-of");
    if (asOf && shown) shown.dataset.at = asOf;
    this.soon();
    return true;
  }

  private soon(): void {
    if (this.dirty) return;
    this.dirty = true;
    requestAnimationFrame(() => {
      this.dirty = false;
      this.draw();
    });
  }

  private draw(): void {
    const list = this.querySelector<HTMLElement>("[data-tiles]");
    if (!list) return;
    const all = this.store.tiles().map((tile): [Drawn, Tile] => [drawn(tile, this.head), tile]);
    all.sort(before);
    let at = list.firstElementChild;
    let visible = 0;
    for (const [look, tile] of all) {
      const node = this.nodes.get(tile.id) ?? this.make(tile.id);
      paint(node, tile, look);
      node.hidden = !matches(tile, look, this.filter);
      if (!node.hidden) visible += 1;
      if (node === at) at = at.nextElementSibling;
      else list.insertBefore(node, at);
    }
    const there = new Set(all.map(([, tile]) => tile.id));
    for (const [id, node] of this.nodes) {
      if (!there.has(id)) {
        node.remove();
        this.nodes.delete(id);
      }
    }
    this.drawFrame(all, visible);
  }

  private make(id: string): HTMLElement {
    const template = this.querySelector("template");
    const node = template?.content.querySelector(".tile")?.cloneNode(true) as HTMLElement;
    node.dataset.id = id;
    const link = node.querySelector<HTMLAnchorElement>('[data-field="name"]');
    if (link) {
      link.href = (this.dataset.instanceUrl ?? "").replace("__id__", encodeURIComponent(id));
    }
    this.nodes.set(id, node);
    return node;
  }

  private drawFrame(all: [Drawn, Tile][], visible: number): void {
    const counts = new Map<string, number>();
    for (const [look] of all) counts.set(look.state, (counts.get(look.state) ?? 0) + 1);
    show(this, "[data-empty]", all.length === 0);
    show(this, "[data-counts]", all.length > 0);
    show(this, "[data-nothing]", all.length > 0 && visible === 0);
    show(this, ".grid-filter", all.length > 6);
    const total = this.querySelector("[data-total]");
    if (total) setText(total, String(all.length - (counts.get("gone") ?? 0)));
    const place = this.querySelector("[data-counts]");
    if (place) drawCounts(place, counts);
    this.speak(counts, all.length);
  }

  private speak(counts: Map<string, number>, total: number): void {
    const words = [...counts].map(([state, count]) => `${count} ${look(state).word.toLowerCase()}`);
    const sentence = total ? `r${this.head}: ${words.join(", ")} of ${total}` : "";
    if (sentence === this.spoken) return;
    const wait = this.spokenAt + SPOKEN_MS - Date.now();
    if (wait > 0) {
      setTimeout(() => this.soon(), wait);
      return;
    }
    // The first one stands on the page already, so it is not said.
    const place = this.querySelector("[data-announce]");
    if (place && this.spokenAt) place.textContent = sentence;
    this.spoken = sentence;
    this.spokenAt = Date.now();
  }
}

function read(element: Element): Tile[] {
  const block = element.querySelector("script#tiles");
  return JSON.parse(block?.textContent ?? "[]") as Tile[];
}

function matches(tile: Tile, look: Drawn, word: string): boolean {
  if (!word) return true;
  const text = `${tile.name} ${tile.id} ${tile.host} ${tile.runtime} ${look.word} ${look.release_line}`;
  return text.toLowerCase().includes(word);
}

function paint(node: HTMLElement, tile: Tile, drawn: Drawn): void {
  set(node, "data-state", drawn.state);
  set(node, "data-tone", drawn.tone);
  set(node, "data-rank", String(drawn.rank));
  const chip = node.querySelector(".state.chip");
  if (chip) {
    set(chip, "data-tone", drawn.tone);
    icon(chip, drawn.icon);
    field(chip, "word", drawn.word);
  }
  field(node, "name", tile.name);
  field(node, "where", drawn.where);
  field(node, "release_line", drawn.release_line);
  field(node, "pid", tile.pid === null ? "–" : String(tile.pid));
  field(node, "restarts", tile.restarts === null ? "–" : String(tile.restarts));
  field(node, "health", drawn.health);
  field(node, "failure", drawn.failure);
  show(node, '[data-field="failure"]', drawn.failure !== "");
  when(node.querySelector(".tile-facts rel-time"), tile.started_at);
  for (const stage of STAGES) paintTick(node, tile, stage);
  paintProblems(node, tile.problems);
}

function paintTick(node: HTMLElement, tile: Tile, stage: (typeof STAGES)[number]): void {
  const tick = node.querySelector(`[data-stage="${stage}"]`);
  if (!tick) return;
  const at = tile.receipt?.[`${stage}_at`] ?? null;
  set(tick, "data-done", at ? "yes" : "no");
  set(tick, "data-tone", at ? "ok" : "off");
  icon(tick, at ? "check" : "empty");
  field(tick, "not", at ? "" : ": not yet");
  field(tick, "took", latency(tile.latency_ms[stage]));
  when(tick.querySelector("rel-time"), at);
}

function paintProblems(node: HTMLElement, problems: string[]): void {
  const list = node.querySelector<HTMLElement>(".tile-problems");
  if (!list) return;
  const held = [...list.children].map((item) => item.textContent);
  list.hidden = problems.length === 0;
  if (held.length === problems.length && held.every((text, at) => text === problems[at])) return;
  list.replaceChildren(
    ...problems.map((problem) => {
      const item = document.createElement("li");
      item.textContent = problem;
      return item;
    }),
  );
}

export function define(): void {
  customElements.define("instance-grid", InstanceGrid);
}
