// Addresses of the HTTP interface, below the service's own; also for what runs beside the page.
export const service = new URL("../../../", import.meta.url); // this file is at <service>/ui/<build>/js/

export function address(path, query = {}) {
  const url = new URL(path.replace(/^\//, ""), service);
  for (const [name, value] of Object.entries(query)) {
    for (const one of Array.isArray(value) ? value : [value]) {
      if (one !== null && one !== undefined && one !== "") url.searchParams.append(name, one);
    }
  }
  return url;
}
