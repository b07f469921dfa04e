// CodeMirror 6 in an open shadow root, where its styles need no exception from the page's policy:
// it then uses adopted style sheets instead of a <style> element.

import { defaultKeymap, history, historyKeymap } from "@codemirror/commands";
import { HighlightStyle, StreamLanguage, syntaxHighlighting } from "@codemirror/language";
import { json } from "@codemirror/legacy-modes/mode/javascript";
import { nginx } from "@codemirror/legacy-modes/mode/nginx";
import { properties } from "@codemirror/legacy-modes/mode/properties";
import { toml } from "@codemirror/legacy-modes/mode/toml";
import { yaml } from "@codemirror/legacy-modes/mode/yaml";
import { highlightSelectionMatches, search, searchKeymap } from "@codemirror/search";
import { EditorState, type Extension } from "@codemirror/state";
import {
  drawSelection,
  EditorView,
  highlightActiveLine,
  highlightWhitespace,
  keymap,
  lineNumbers,
} from "@codemirror/view";
import { tags } from "@lezer/highlight";

// The page's tokens are inherited into the shadow root, so both themes come for nothing.
const theme = EditorView.theme({
  "&": {
    color: "var(--fg)",
    backgroundColor: "var(--surface)",
    border: "1px solid var(--line-strong)",
    borderRadius: "var(--radius)",
    fontSize: "0.875rem",
    maxHeight: "60vh",
    minHeight: "12rem",
  },
  "&.cm-focused": { outline: "2px solid var(--focus)", outlineOffset: "1px" },
  ".cm-scroller": { fontFamily: "var(--font-mono)", lineHeight: "1.5", overflow: "auto" },
  ".cm-content": { caretColor: "var(--fg)" },
  ".cm-cursor": { borderLeftColor: "var(--fg)" },
  ".cm-gutters": { backgroundColor: "var(--raised)", color: "var(--muted)", border: "none" },
  ".cm-activeLine": { backgroundColor: "color-mix(in srgb, var(--raised) 60%, transparent)" },
  "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": {
    backgroundColor: "color-mix(in srgb, var(--accent) 30%, transparent) !important",
  },
  ".cm-panels": { backgroundColor: "var(--raised)", color: "var(--fg)" },
  ".cm-highlightSpace": { backgroundImage: "none" },
});

const highlight = HighlightStyle.define([
  { tag: [tags.keyword, tags.atom, tags.bool], color: "var(--accent)", fontWeight: "600" },
  { tag: [tags.propertyName, tags.definition(tags.propertyName)], color: "var(--accent)" },
  { tag: [tags.string, tags.special(tags.string)], color: "var(--ok)" },
  { tag: tags.number, color: "var(--lag)" },
  { tag: tags.comment, color: "var(--muted)", fontStyle: "italic" },
]);

function languageOf(label: string, text: string): Extension {
  const name = label.toLowerCase();
  if (name.includes("nginx") || /^\s*(server|http|events|worker_processes)\b/m.test(text)) {
    return StreamLanguage.define(nginx);
  }
  if (/^\s*[[{]/.test(text)) return StreamLanguage.define(json);
  if (/\.ya?ml\b/.test(name)) return StreamLanguage.define(yaml);
  if (/\.toml\b/.test(name)) return StreamLanguage.define(toml);
  return StreamLanguage.define(properties);
}

// The one stretch in which two texts differ.
function difference(held: string, next: string): { from: number; to: number; insert: string } {
  const most = Math.min(held.length, next.length);
  let from = 0;
  while (from < most && held[from] === next[from]) from++;
  let end = 0;
  while (end < most - from && held.at(-1 - end) === next.at(-1 - end)) end++;
  return { from, to: held.length - end, insert: next.slice(from, next.length - end) };
}

export function mount(
  host: HTMLElement,
  text: string,
  label: string,
  selection: [number, number],
  changed: () => void,
): { value: string; focus(): void; destroy(): void } {
  const root = host.shadowRoot ?? host.attachShadow({ mode: "open" });
  root.replaceChildren(document.createElement("slot"));
  let silent = false;
  const view = new EditorView({
    parent: root,
    root,
    state: EditorState.create({
      doc: text,
      selection: {
        anchor: Math.min(selection[0], text.length),
        head: Math.min(selection[1], text.length),
      },
      extensions: [
        lineNumbers(),
        history(),
        drawSelection(),
        highlightActiveLine(),
        highlightSelectionMatches(),
        highlightWhitespace(),
        search({ top: true }),
        // No Tab binding: Tab leaves the editor, as keyboards expect of a page.
        keymap.of([...defaultKeymap, ...historyKeymap, ...searchKeymap]),
        languageOf(label, text),
        syntaxHighlighting(highlight),
        theme,
        // tabindex, because checkers do not take an editable element for one that keys can scroll.
        EditorView.contentAttributes.of({
          "aria-label": label,
          spellcheck: "false",
          tabindex: "0",
        }),
        EditorView.updateListener.of((update) => {
          if (update.docChanged && !silent) changed();
        }),
      ],
    }),
  });
  return {
    get value() {
      return view.state.doc.toString();
    },
    set value(next: string) {
      const held = view.state.doc.toString();
      if (next === held) return;
      silent = true;
      view.dispatch({ changes: difference(held, next) }); // the cursor stays where it is
      silent = false;
    },
    focus: () => view.focus(),
    destroy: () => view.destroy(),
  };
}
