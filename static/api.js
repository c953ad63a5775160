/** Calls to the service. Every failure is either `Unreachable` or a `Problem` with words a person can act on. */
import { langTag, t } from "./i18n.js";

/**
 * @typedef {{slide_id: string, page_num: number, title: string, image_url: string | null, final_prompt: string | null,
 *   status: "pending" | "generating" | "done" | "error", error_message: string | null, error_code: string | null,
 *   generation_time: number | null, attempts: number, provider: string | null, model: string | null, cached: boolean,
 *   cost_usd: number | null, width: number | null, height: number | null, aspect_ratio_ok: boolean | null}} Slide
 * @typedef {{batch_id: string, status: "pending" | "running" | "completed" | "failed", progress: number,
 *   total_slides: number, completed_slides: number, successful: number, failed: number,
 *   estimated_remaining_time: number | null, results: Slide[], session_id: string, created_at: string,
 *   total_time: number | null, cost_usd: number | null, possibly_billed: number, cancelled: boolean,
 *   aspect_ratio?: string}} Batch
 */

const PREFIX = document.querySelector('meta[name="api-prefix"]').content;
const PATIENCE_MS = 20_000;

/** No answer came: the service is away, restarting, or the network is. */
export class Unreachable extends Error {}

/** The service refused, and said why (RFC 9457). */
export class Problem extends Error {
  /** @param {number} status @param {{detail?: string, code?: string, errors?: {loc: (string | number)[], msg: string}[]}} body */
  constructor(status, body) {
    super(body.detail || t("problem.status", { status }));
    this.status = status;
    this.code = body.code ?? null;
    /** @type {{where: string, message: string}[]} */
    this.parts = (body.errors ?? []).map(({ loc, msg }) => ({ where: placeWords(loc), message: msg }));
  }
}

/**
 * Start a deck. The same `key` never starts it twice, so a lost answer can be asked for again.
 * @param {string} body The request as JSON text. @param {string} key
 * @returns {Promise<Batch>}
 */
export async function startBatch(body, key) {
  const headers = { "Content-Type": "application/json", Prefer: "respond-async", "Idempotency-Key": key };
  const answer = await send(`${PREFIX}/slide/batch/generate`, { method: "POST", headers, body });
  return answer.json();
}

/**
 * A batch as it is now; `batch` is null when nothing changed since `etag`. `skewMs`: our clock minus the service's.
 * @param {string} id @param {string | null} etag
 * @returns {Promise<{batch: Batch | null, etag: string | null, skewMs: number}>}
 */
export async function fetchBatch(id, etag) {
  const answer = await send(`${PREFIX}/slide/batch/${encodeURIComponent(id)}`, {
    headers: etag ? { "If-None-Match": etag } : {},
    cache: "no-store",
  });
  const batch = answer.status === 304 ? null : await answer.json();
  const served = Date.parse(answer.headers.get("Date") ?? "");
  return { batch, etag: answer.headers.get("ETag"), skewMs: Number.isNaN(served) ? 0 : Date.now() - served };
}

/**
 * One page of earlier batches, newest first.
 * @param {string | null} cursor
 * @returns {Promise<{batches: object[], next_cursor: string | null}>}
 */
export async function fetchHistory(cursor) {
  const query = new URLSearchParams({ limit: "20", ...(cursor ? { cursor } : {}) });
  return (await send(`${PREFIX}/slide/batch?${query}`, { cache: "no-store" })).json();
}

/**
 * Whether the service can work, and with which provider. A 503 is an answer here, not a failure.
 * @returns {Promise<{ready: boolean, provider: string, model: string, checks: Record<string, unknown>}>}
 */
export async function fetchReadiness() {
  return (await send("/readyz", { cache: "no-store" }, [503])).json();
}

export const docsUrl = `${PREFIX}/docs`;

/** @param {string} sessionId */
export const logsUrl = (sessionId) => `${PREFIX}/sessions/${encodeURIComponent(sessionId)}/logs`;

/** `["body", "slides", 1, "id"]` as "Slide 2 · id". @param {(string | number)[]} loc */
function placeWords(loc) {
  const path = [loc].flat().filter((part, i) => i > 0 || part !== "body");
  const [first, index, ...rest] = path;
  if (first !== "slides" || !Number.isInteger(index)) return path.join(".");
  return [t("problem.slide", { n: index + 1 }), ...rest].join(" · ");
}

/** @param {string} url @param {RequestInit} init @param {number[]} [welcome] Statuses that are answers as well. */
async function send(url, init, welcome = []) {
  let answer;
  try {
    answer = await fetch(url, {
      ...init,
      headers: { "Accept-Language": langTag(), ...init.headers },
      signal: AbortSignal.timeout(PATIENCE_MS),
    });
  } catch (error) {
    throw new Unreachable(t("problem.network"), { cause: error });
  }
  if (answer.ok || answer.status === 304 || welcome.includes(answer.status)) return answer;
  throw new Problem(answer.status, await answer.json().catch(() => ({})));
}
