/** A batch and what happened next make the batch as it is now. Plain functions. */

/** @typedef {import("./api.js").Batch} Batch */

export const EVENTS = ["batch.started", "slide.started", "slide.retrying", "slide.done", "slide.failed", "batch.progress", "batch.finished"];

/** @param {Batch} batch */
export const isFinal = (batch) => batch.status === "completed" || batch.status === "failed";

/** How a slide stands for its reader: what was stopped on demand has not failed. @param {import("./api.js").Slide} slide */
export const slideState = ({ status, error_code: code }) => (status === "error" && code === "cancelled" ? code : status);

/** How many slides a stop kept from being made. @param {Batch} batch */
export const countStopped = (batch) => batch.results.filter((slide) => slideState(slide) === "cancelled").length;

/** Whether other words may help: the same ones would be refused again. @param {import("./api.js").Slide} slide */
export const wantsWords = ({ status, error_code: code }) => status === "error" && ["content_blocked", "bad_request", "no_image"].includes(code);

/**
 * @param {Batch} batch @param {{number: number, name: string, data: any}} event
 * @returns {Batch}
 */
export function takeIn(batch, { number, name, data }) {
  if (number <= batch.last_event_id) return batch; // It is in there already.
  if (name.startsWith("batch.")) return { ...batch, ...data, total_time: data.total_time ?? batch.total_time, last_event_id: number };
  const news = name === "slide.retrying" ? { ...data, retryAtMs: Date.now() + data.retry_in * 1000 } : data;
  const results = batch.results.map((slide) => (slide.slide_id === data.slide_id ? news : slide));
  return { ...batch, results, last_event_id: number };
}

/** Whether slides were reopened meanwhile: which ones is told by no event. @param {Batch} batch */
export function isBehind(batch) {
  return batch.results.filter((slide) => slide.status === "done" || slide.status === "error").length !== batch.completed_slides;
}
