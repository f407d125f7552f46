// The sign of a decision: its shape says the same as its colour and its word. Circle OK, diamond REVIEW, octagon NG.
import { html } from "../vendor/htm-preact.js";

const SHAPES = {
  OK: html`<circle cx="24" cy="24" r="21" class="sign-shape" /><path d="M14 25l7 7 13-15" class="sign-mark" />`,
  REVIEW: html`<path d="M24 2l22 22-22 22L2 24z" class="sign-shape" /><path d="M24 14v13" class="sign-mark" /><path d="M24 33v1" class="sign-mark" />`,
  NG: html`<path d="M15 3h18l12 12v18L33 45H15L3 33V15z" class="sign-shape" /><path d="M16 16l16 16M32 16L16 32" class="sign-mark" />`,
  NONE: html`<circle cx="24" cy="24" r="20" class="sign-shape sign-open" /><path d="M15 24h18" class="sign-mark" />`,
};

export function Sign({ decision }) {
  return html`<svg class="sign sign-${decision}" viewBox="0 0 48 48" aria-hidden="true">${SHAPES[decision] ?? SHAPES.NONE}</svg>`;
}

export const Tag = ({ decision }) => html`<span class="tag tag-${decision}"><${Sign} decision=${decision} />${decision}</span>`;
