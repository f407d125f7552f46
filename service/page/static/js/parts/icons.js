// Small line pictures for buttons and the way between views; each stands beside its word.
import { html } from "../vendor/htm-preact.js";

const PATHS = {
  live: "M3 12h4l3-8 4 16 3-8h4",
  review: "M4 5h16v11H9l-5 4zM9 10.5l2 2 4-4",
  teach: "M4 18V9m5 9V5m5 13v-6m5 6V8M2 21h20",
  "what-if": "M4 7h9m4 0h3M4 17h3m4 0h9M15 4v6M9 14v6",
  products: "M12 3l8 4.5v9L12 21l-8-4.5v-9zM4 7.5l8 4.5 8-4.5M12 12v9",
  defects: "M4 4h7v7H4zM13 4h7v7h-7zM4 13h7v7H4zM13.500 16.500h6M16.500 13.500v6",
  menu: "M4 7h16M4 12h16M4 17h16",
  undo: "M9 7L4 12l5 5M4 12h10a6 6 0 010 12",
  warn: "M12 3l10 18H2zM12 10v5M12 18v.5",
  cut: "M3 3l18 18M5 10a10 10 0 014-2.500M12 6.500A14 14 0 0122 10M8.500 14a6 6 0 013-1.400M12 19v.5",
  close: "M5 5l14 14M19 5L5 19",
  folder: "M3 6h7l2 3h9v11H3z",
  camera: "M3 7h5l2-3h4l2 3h5v13H3zM12 10a3.500 3.500 0 100 7 3.500 3.500 0 000-7",
  arrow: "M5 12h14M13 6l6 6-6 6",
  picture: "M3 5h18v14H3zM3 16l5-5 4 4 3-3 6 5M15.500 9.500v.1",
  lock: "M6 11h12v9H6zM8.500 11V8a3.500 3.500 0 017 0v3",
};

export const Icon = ({ name }) =>
  html`<svg class="icon" viewBox="0 0 24 24" aria-hidden="true"><path d=${PATHS[name]} /></svg>`;
