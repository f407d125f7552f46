// Light or dark: as the machine says, unless the person has chosen.
import { keptStore } from "./store.js";

export const theme = keptStore("theme", "auto");
const dark = matchMedia("(prefers-color-scheme: dark)");

export function applyTheme() {
  const chosen = theme.get();
  document.documentElement.dataset.theme = chosen === "auto" ? (dark.matches ? "dark" : "light") : chosen;
}

theme.subscribe(applyTheme);
dark.addEventListener("change", applyTheme);
