/** Calls to the service. Every failure is either `Unreachable` or a `Problem` with words a person can act on. */
import { askIn } from "./door.js";
import { currentLang, langTag, t } from "./i18n.js";

/**
 * @typedef {{slide_id: string, page_num: number, title: string, image_url: string | null, final_prompt: string | null,
 *   status: "pending" | "generating" | "done" | "error", error_message: string | null, error_code: string | null,
 *   generation_time: number | null, attempts: number, provider: string | null, model: string | null, cached: boolean,
 *   cost_usd: number | null, width: number | null, height: number | null, aspect_ratio_ok: boolean | null,
 *   versions: Version[]}} Slide
 * @typedef {{n: number, image_url: string, created_at: string, current: boolean}} Version
 * @typedef {{batch_id: string, status: "pending" | "running" | "completed" | "failed", progress: number,
 *   total_slides: number, completed_slides: number, successful: number, failed: number,
 *   estimated_remaining_time: number | null, results: Slide[], session_id: string, created_at: string,
 *   total_time: number, cost_usd: number | null, possibly_billed: number, cancelled: boolean, max_workers: number,
 *   aspect_ratio: string, last_event_id: number}} Batch
 * @typedef {{cache_hits: number, calls: number, provider: string, cost_usd_low: number | null, cost_usd_high: number | null,
 *   seconds: number, max_workers: number, within_budget: boolean | null}} Estimate
 */

const PREFIX = document.querySelector('meta[name="api-prefix"]').content;
const BATCHES = `${PREFIX}/slide/batch`;
const SIGN_IN = `${PREFIX}/sign-in`;
const PATIENCE_MS = 20_000;
/** A long deck takes its time to be packed and to be sent. */
const EXPORT_PATIENCE_MS = 600_000;

/** No answer came: the service is away, restarting, or the network is. */
export class Unreachable extends Error {}

/** The service refused, and said why (RFC 9457). */
export class Problem extends Error {
  /**
   * @param {number} status @param {{detail?: string, code?: string, errors?: {loc: (string | number)[], msg: string}[]}} body
   * @param {number} [waitMs] After which the service may be asked again.
   */
  constructor(status, body, waitMs = 0) {
    super(body.detail || t("problem.status", { status }));
    this.status = status;
    this.waitMs = waitMs;
    this.code = body.code ?? null;
    /** @type {{where: string, message: string}[]} */
    this.parts = (body.errors ?? []).map(({ loc, msg }) => ({ where: placeWords(loc), message: msg }));
  }
}

/**
 * Start a deck. The same `key` never starts it twice, so a lost answer is asked for again.
 * @param {string} body The request as JSON text. @param {string} key
 * @returns {Promise<Batch>}
 */
export async function startBatch(body, key) {
  const headers = { Prefer: "respond-async", "Idempotency-Key": key };
  for (const waitMs of [1_000, 3_000, null]) {
    try {
      return await post(`${BATCHES}/generate`, body, headers);
    } catch (error) {
      if (waitMs === null || !(error instanceof Unreachable)) throw error;
      await new Promise((resume) => setTimeout(resume, waitMs));
    }
  }
}

/** Nobody who is typing is asked for a token for it. @param {string} body @returns {Promise<Estimate>} */
export const estimateBatch = (body) => post(`${BATCHES}/estimate`, body, {}, { asks: false });

/** @param {string} id @returns {Promise<Batch>} */
export const cancelBatch = (id) => post(`${batchUrl(id)}/cancel`);

/** Make again what is not done: those slides, or all for null. @param {string} id @param {string[] | null} slideIds @returns {Promise<Batch>} */
export const retrySlides = (id, slideIds) => post(`${batchUrl(id)}/retry`, slideIds && JSON.stringify({ slide_ids: slideIds }));

/** Make a new version of a slide. @param {string} id @param {string} slideId @returns {Promise<Batch>} */
export const regenerateSlide = (id, slideId) => post(`${slideUrl(id, slideId)}/regenerate`);

/** Show version `n` of a slide again. @param {string} id @param {string} slideId @param {number} n @returns {Promise<Batch>} */
export const restoreVersion = (id, slideId, n) => post(`${slideUrl(id, slideId)}/versions/${n}/restore`);

/**
 * A batch as it is now; `batch` is null when nothing changed since `etag`.
 * @param {string} id @param {string | null} etag
 * @returns {Promise<{batch: Batch | null, etag: string | null}>}
 */
export async function fetchBatch(id, etag) {
  const answer = await send(batchUrl(id), { headers: etag ? { "If-None-Match": etag } : {}, cache: "no-store" });
  const batch = answer.status === 304 ? null : await readJson(answer);
  if (batch && batch.batch_id !== id) throw new Problem(404, {}); // The id in the address led to something else.
  return { batch, etag: answer.headers.get("ETag") };
}

/**
 * One page of earlier batches, newest first.
 * @param {string | null} cursor
 * @returns {Promise<{batches: object[], next_cursor: string | null}>}
 */
export async function fetchHistory(cursor) {
  const query = new URLSearchParams({ limit: "20", ...(cursor ? { cursor } : {}) });
  return readJson(await send(`${BATCHES}?${query}`, { cache: "no-store" }));
}

/**
 * Whether the service can work, and with which provider. A 503 is an answer here, not a failure.
 * @returns {Promise<{ready: boolean, provider: string, model: string, checks: Record<string, unknown>}>}
 */
export async function fetchReadiness() {
  return readJson(await send("/readyz", { cache: "no-store" }, { welcome: [503] }));
}

/** The name that this browser is signed in under; null for none. @returns {Promise<string | null>} */
export async function fetchWhoIsIn() {
  return (await readJson(await send(SIGN_IN, { cache: "no-store" }))).name;
}

/** Come in: the service gives the browser a cookie that no script can read. @param {string} token @returns {Promise<string>} The token's name. */
export async function signIn(token) {
  const headers = { "Content-Type": "application/json" };
  const answer = await send(SIGN_IN, { method: "POST", headers, body: JSON.stringify({ token }) }, { welcome: [401] });
  if (!answer.ok) throw new Problem(answer.status, { detail: t("signIn.wrong") });
  return (await fetchWhoIsIn()) ?? ""; // It may keep no cookies; then the next call says so.
}

export const signOut = () => send(`${PREFIX}/sign-out`, { method: "POST" });

export const fetchExample = async () => (await send(`/static/example-${currentLang()}.json`)).text();

export const docsUrl = `${PREFIX}/docs`;

/** A session's log files by name. @param {string} sessionId @returns {Promise<Record<string, any>>} */
export async function fetchLogs(sessionId) {
  const answer = await send(`${PREFIX}/sessions/${encodeURIComponent(sessionId)}/logs`, { cache: "no-store" });
  return (await readJson(answer)).files;
}

/** Where a batch's events behind number `after` come from; the stream cannot send a language as header. @param {string} id @param {number} after */
export const eventsUrl = (id, after) => `${batchUrl(id)}/events?${new URLSearchParams({ after, lang: currentLang() })}`;

/** @param {string} id @param {"pptx" | "pdf" | "zip"} kind */
export const exportUrl = (id, kind) => `${batchUrl(id)}/export.${kind}`;

/** The finished slides as one file. @param {string} id @param {"pptx" | "pdf" | "zip"} kind @returns {Promise<{name: string, blob: Blob}>} */
export async function fetchExport(id, kind) {
  const answer = await send(exportUrl(id, kind), { signal: AbortSignal.timeout(EXPORT_PATIENCE_MS) });
  const [, name] = /filename\*=UTF-8''([^;]+)/.exec(answer.headers.get("Content-Disposition")) ?? [];
  return { name: decodeURIComponent(name ?? `slides.${kind}`), blob: await answer.blob().catch(giveUp) };
}

const batchUrl = (id) => `${BATCHES}/${encodeURIComponent(id)}`;
const slideUrl = (id, slideId) => `${batchUrl(id)}/slides/${encodeURIComponent(slideId)}`;

/** `["body", "slides", 1, "id"]` as "Slide 2 · id". @param {(string | number)[]} loc */
function placeWords(loc) {
  const path = [loc].flat().filter((part, i) => i > 0 || part !== "body");
  const [first, index, ...rest] = path;
  if (first !== "slides" || !Number.isInteger(index)) return path.join(".");
  return [t("problem.slide", { n: index + 1 }), ...rest].join(" · ");
}

/** @param {string} url @param {string | null} [body] JSON text. @param {Record<string, string>} [headers] @param {Manner} [manner] */
async function post(url, body = null, headers = {}, manner = {}) {
  const kind = body === null ? {} : { "Content-Type": "application/json" };
  return readJson(await send(url, { method: "POST", headers: { ...kind, ...headers }, body }, manner));
}

/**
 * @typedef {{welcome?: number[], asks?: boolean}} Manner
 *   welcome: statuses that are answers as well. asks: whether, where a token is wanted, the reader is asked for it, and the call sent again.
 * @param {string} url @param {RequestInit} init @param {Manner} [manner]
 */
async function send(url, init = {}, { welcome = [], asks = true } = {}) {
  const headers = { "Accept-Language": langTag(), ...init.headers };
  const answer = await fetch(url, { signal: AbortSignal.timeout(PATIENCE_MS), ...init, headers }).catch(giveUp);
  if (answer.ok || answer.status === 304 || welcome.includes(answer.status)) return answer;
  if (answer.status === 401 && asks) {
    if (await askIn()) return send(url, init, { welcome, asks: false });
    throw new Problem(401, { detail: t("signIn.needed") });
  }
  const waitMs = 1000 * (Number(answer.headers.get("Retry-After")) || 0);
  throw new Problem(answer.status, await answer.json().catch(() => ({})), waitMs);
}

/** The answer's body; one that breaks off, or is not the service's, is no answer. @param {Response} answer */
const readJson = (answer) => answer.json().catch(giveUp);

/** @param {unknown} cause */
function giveUp(cause) {
  throw new Unreachable(t("problem.network"), { cause });
}
