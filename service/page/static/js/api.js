// Calls of the HTTP interface: addresses below the service's own, JSON, the CSRF token, and errors with their words.
import { address } from "./address.js";
import { t } from "./i18n.js";

const PATIENCE_MS = 20000;
let csrfToken = null;
let onUnauthorized = () => {};

export function useToken(token, unauthorized) {
  csrfToken = token;
  onUnauthorized = unauthorized;
}

export class ApiError extends Error {
  constructor(status, problem, retryAfter) {
    super(problem.detail || problem.title || `HTTP ${status}`);
    this.status = status;
    this.code = problem.code || (status === 0 ? "no_answer" : `http_${status}`);
    this.retryAfter = retryAfter;
  }
}

export const get = (path, query, patience) => call("GET", path, { query, patience });
export const post = (path, body) => call("POST", path, { body });
export const remove = (path) => call("DELETE", path, {});

async function call(method, path, { query, body, patience = PATIENCE_MS }) {
  const headers = { Accept: "application/json" };
  if (body !== undefined) headers["Content-Type"] = "application/json";
  if (method !== "GET" && csrfToken) headers["X-CSRF-Token"] = csrfToken;
  let response, text;
  try {
    response = await fetch(address(path, query), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      signal: AbortSignal.timeout(patience),
      cache: "no-store",
    });
    text = await response.text();
  } catch {
    throw new ApiError(0, { detail: t("error.no_answer") });
  }
  return answer(response.status, text, response.headers.get("Retry-After"));
}

function answer(status, text, retryAfter) {
  let found = null;
  try {
    found = text ? JSON.parse(text) : null;
  } catch {
    found = null;
  }
  if (status >= 200 && status < 300) return found;
  if (status === 401) onUnauthorized();
  throw new ApiError(status, found ?? {}, retryAfter);
}

// A form with files: fetch tells nothing of how much has been sent, so this one call is made the older way.
export function upload(path, form, onProgress, signal) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", address(path));
    request.setRequestHeader("Accept", "application/json");
    if (csrfToken) request.setRequestHeader("X-CSRF-Token", csrfToken);
    request.upload.onprogress = (event) => event.lengthComputable && onProgress(event.loaded / event.total);
    request.onload = () => {
      try {
        resolve(answer(request.status, request.responseText, request.getResponseHeader("Retry-After")));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = request.onabort = () => reject(new ApiError(0, { detail: t("error.no_answer") }));
    signal?.addEventListener("abort", () => request.abort());
    request.send(form);
  });
}
