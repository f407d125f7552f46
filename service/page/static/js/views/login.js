// The way in: an API key, sent once and exchanged for a session.
import { html, useEffect, useRef, useState } from "../vendor/htm-preact.js";
import { t } from "../i18n.js";
import { logIn } from "../session.js";
import { Icon } from "../parts/icons.js";

export function LoginView({ over }) {
  const [error, setError] = useState(null);
  const [busy, setBusy] = useState(false);
  const field = useRef(null);
  useEffect(() => field.current.focus(), []);
  const enter = async (event) => {
    event.preventDefault();
    setBusy(true);
    setError(null);
    try {
      await logIn(field.current.value.trim());
    } catch (problem) {
      setError(problem.code === "unauthorized" ? t("login.unknown") : problem.message);
      setBusy(false);
      field.current?.select();
    }
  };
  return html`<main class="login">
    <form class="card login-card" onSubmit=${enter}>
      <${Icon} name="lock" />
      <h1>${t("login.title")}</h1>
      ${over && html`<p class="login-over" role="status">${t("login.over")}</p>`}
      <label class="field"><span>${t("login.key")}</span>
        <input ref=${field} type="password" required autocomplete="current-password" spellcheck="false"
          aria-invalid=${error !== null} aria-describedby="login-error" /></label>
      <p id="login-error" class="field-error" role="alert">${error}</p>
      <button class="button main" disabled=${busy}>${t("login.enter")}</button>
      <p class="soft">${t("login.words")}</p>
    </form>
  </main>`;
}
