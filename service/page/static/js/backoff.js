// How long to wait before something that failed is tried again: longer each time, and not by all pages at the same moment.
const MOST_MS = 15000;
const FOR_GOOD = ["feedback_off", "trainings_off"];

export const pause = (failures, firstMs) => Math.min(MOST_MS, firstMs * 2 ** (failures - 1)) * (0.75 + Math.random() / 2);

// No answer, or one that says to come again: a service that starts, a store that is being opened, too much load, a proxy.
export const passes = (error) => [0, 429, 502, 503, 504].includes(error.status) && !FOR_GOOD.includes(error.code);
