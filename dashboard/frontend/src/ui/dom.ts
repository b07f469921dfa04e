// Small writes to the page, each only where something differs.

export function icon(place: Element, name: string): void {
  const use = place.querySelector('[data-field="icon"]');
  if (use) set(use, "href", `#i-${name}`);
}

export function field(place: Element, name: string, text: string): void {
  const element = place.querySelector(`[data-field="${name}"]`);
  if (element) setText(element, text);
}

export function setText(element: Element, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

export function set(element: Element, name: string, value: string): void {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

export function when(element: Element | null, at: string | null): void {
  if (!element) return;
  if (at === null) element.removeAttribute("datetime");
  else set(element, "datetime", at);
}

export function show(place: Element, selector: string, visible: boolean): void {
  const element = place.querySelector<HTMLElement>(selector);
  if (element && element.hidden === visible) element.hidden = !visible;
}
