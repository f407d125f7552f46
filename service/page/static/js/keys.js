// The keyboard: each view says which keys it takes, the newest part that takes a key gets it.
import { useLayoutEffect, useRef } from "./vendor/htm-preact.js";
import { keptStore } from "./store.js";

export const shortcuts = keptStore("shortcuts", true);
const stack = [];
const TYPING = "input:not([type=range]):not([type=checkbox]):not([type=radio]), textarea, select, [contenteditable]";

export function useKeys(table, active = true) {
  const current = useRef(table);
  current.current = table;
  useLayoutEffect(() => {
    if (!active) return undefined; // at once with what is shown, so that no key is lost
    const entry = { find: (key) => current.current[key] };
    stack.push(entry);
    return () => stack.splice(stack.indexOf(entry), 1);
  }, [active]);
}

function onKey(event) {
  if (event.ctrlKey || event.altKey || event.metaKey || event.isComposing || event.repeat) return;
  if (event.target.closest?.(TYPING)) return;
  if (!shortcuts.get() && event.key !== "?") return;
  const inDialog = document.querySelector("dialog[open]");
  if (inDialog && !inDialog.dataset.keys) return;
  const arrows = event.key.startsWith("Arrow") && event.target.closest?.("input[type=range], [role=slider], [role=tablist]");
  if (arrows) return;
  if ((event.key === "Enter" || event.key === " ") && event.target.closest?.("button, a[href], summary")) return;
  const name = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  for (const entry of [...stack].reverse()) {
    const run = entry.find(name);
    if (run) {
      event.preventDefault();
      run(event);
      return;
    }
  }
}

document.addEventListener("keydown", onKey);
