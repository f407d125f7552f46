// Before anything else: says that the page connects, and starts it anew where its files do not come.
//
// Of a page whose scripts were not loaded, nothing would be seen. No module, so that it runs whatever becomes of those.
"use strict";
(() => {
  const root = document.documentElement;
  const app = document.getElementById("app");
  const LATE_MS = 20000;
  const FIRST_PAUSE_MS = 1000;
  const MOST_MS = 15000;
  const MOST_KEPT = 4;
  const COUNT = "mkdserve.starts";
  let isLate = false;

  function chosen(name) {
    try {
      return JSON.parse(sessionStorage.getItem(`mkdserve.${name}`) ?? localStorage.getItem(`mkdserve.${name}`));
    } catch {
      return null;
    }
  }

  const languages = root.dataset.languages.split(" ");
  const wanted = [chosen("language"), ...navigator.languages.map((tag) => tag.split("-")[0]), "en"];
  root.lang = wanted.find((tag) => languages.includes(tag));
  const isDark = (chosen("theme") ?? "auto") === "auto" ? matchMedia("(prefers-color-scheme: dark)").matches : chosen("theme") === "dark";
  root.dataset.theme = isDark ? "dark" : "light";
  const words = JSON.parse(root.dataset.start)[root.lang];
  const starting = () => app.querySelector("[data-starting]");
  starting().querySelector("p").textContent = words["start.connecting"];

  function kept(value) {
    try {
      if (value !== undefined) sessionStorage.setItem(COUNT, value);
      return Number(sessionStorage.getItem(COUNT));
    } catch {
      return 1; // a browser that keeps nothing
    }
  }

  // The page is loaded anew only once the service answers: what stands here is better than the browser's own error.
  async function whenItAnswers() {
    let failures = kept();
    for (;;) {
      await new Promise((resolve) => setTimeout(resolve, Math.min(MOST_MS, FIRST_PAUSE_MS * 2 ** failures++)));
      try {
        if (!starting()) return; // it was slow, and has come
        if ((await fetch(location.pathname, { cache: "no-store", signal: AbortSignal.timeout(5000) })).ok) break;
      } catch {
        // not yet
      }
    }
    kept(Math.min(failures, MOST_KEPT));
    location.reload();
  }

  function late() {
    if (isLate || !starting()) return;
    isLate = true;
    const [line, button] = [document.createElement("p"), document.createElement("button")];
    line.textContent = words["start.failed"];
    button.textContent = words["state.again"];
    button.className = "button";
    button.addEventListener("click", () => location.reload());
    starting().setAttribute("role", "alert");
    starting().append(line, button);
    whenItAnswers();
  }

  function styleAgain(link, failures) {
    const next = link.cloneNode();
    next.addEventListener("error", () => styleAgain(next, failures + 1));
    setTimeout(() => link.replaceWith(next), Math.min(MOST_MS, FIRST_PAUSE_MS * 2 ** failures));
  }

  function hasFailed(link) {
    try {
      return link.sheet.cssRules.length === 0;
    } catch {
      return true; // of styles that did not come, the rules cannot be read
    }
  }

  // The browser has waited with this script for the styles before it.
  for (const link of document.querySelectorAll("link[rel=stylesheet]")) if (hasFailed(link)) styleAgain(link, 0);
  window.addEventListener("error", ({ target }) => target.matches?.("script") && late(), true);
  window.addEventListener("unhandledrejection", late);
  setTimeout(late, LATE_MS * 2 ** kept()); // longer each time: a slow machine is to be done once
  document.addEventListener("mkdserve:started", () => kept(0));
})();
