/** From what a user brings (our JSON, a list of slides, Markdown) to a deck, and from a deck to the request. Plain functions. */
import { t } from "./i18n.js";

/**
 * @typedef {{id: string, page_num: number, type: "cover" | "content" | "ending", title: string, content_text: string,
 *   visual_desc: string, leftOut: boolean}} Page
 * @typedef {{pages: Page[], style: string, deckStyle: string, ratio: string, workers: number,
 *   budget: string, coverLeads: boolean, anew?: boolean, preset?: string | null, extras: Record<string, unknown>, batchId: string | null}} Deck
 *   deckStyle: the style it came with. preset: whose prompt the style is, in whatever language it was chosen. budget: US dollars, or empty. coverLeads: the cover is made first, the rest in its look. anew: nothing from the cache. extras: request keys the page has no field for. batchId: what was made of it last.
 */

const MAX_SLIDES = 200;
const MAX_BYTES = 2_000_000;
const TYPES = ["cover", "content", "ending"];
/** What looks like JSON: an object, or a list that holds none of Markdown's words. */
const JSON_START = /^(\{|\[[\s[]*[{\]"]|\[(?:[-\d.\s,[\]]|true|false|null)*\]$)/;
const FENCE = /^\s*(`{3,}(?=[^`]*$)|~{3,})(.*)/;
/** Comments and pictures; also code between fences, in which there are none. */
const NOT_DRAWN = /^[ \t]*(?<code>`{3,}(?=[^`\n]*$)|~{3,})(?:[\s\S]*?^[ \t]*\k<code>[`~]*[ \t]*$|[\s\S]*)|<!--[\s\S]*?-->|!\[(?<picture>[^\]]*)\]\([^)]*\)/gm;
const FAREWELL = /thank|q\s*&\s*a|questions|the end|谢谢|感谢|结束/i;

/** The deck cannot be read; the message says what to do. */
export class UnreadableDeck extends Error {}

/** A file's text; Chinese Windows still writes GB 18030. @param {File} file */
export async function readFile(file) {
  if (file.size > MAX_BYTES) throw new UnreadableDeck(t("read.tooLarge"));
  const bytes = await file.arrayBuffer();
  for (const encoding of ["utf-8", "gb18030"]) {
    try {
      const text = new TextDecoder(encoding, { fatal: true }).decode(bytes);
      if (!text.includes("\0")) return text;
    } catch {
      // Not this encoding: try the next.
    }
  }
  throw new UnreadableDeck(t("read.binary"));
}

/** @param {string} text @returns {Deck} */
export function parseDeck(text) {
  const trimmed = text.trim();
  const request = JSON_START.test(trimmed) ? parseRequest(trimmed) : { slides: parseMarkdown(trimmed) };
  const { slides, style_prompt: style, aspect_ratio: ratio, max_workers: workers, max_cost_usd: budget, cache, ...extras } = request;
  if (slides.length === 0) throw new UnreadableDeck(t("read.empty"));
  if (slides.length > MAX_SLIDES) throw new UnreadableDeck(t("read.tooMany", { n: slides.length }));
  return {
    pages: slides.map(toPage),
    style: String(style ?? ""),
    deckStyle: String(style ?? ""),
    ratio: String(ratio ?? "16:9"),
    workers: Math.min(10, Math.max(1, Math.round(Number(workers)) || 3)),
    budget: String(budget ?? ""),
    anew: cache === false,
    coverLeads: extras.style_reference === "cover",
    extras,
    batchId: null,
  };
}

/** The body of `POST …/batch/generate`. @param {Deck} deck */
export function toRequest(deck) {
  const { style_reference: reference, ...extras } = deck.extras;
  const leads = deck.coverLeads ? "cover" : reference === "cover" ? undefined : reference;
  return JSON.stringify({
    ...extras,
    style_reference: leads,
    slides: pagesToMake(deck).map(({ leftOut, ...slide }) => slide),
    style_prompt: deck.style,
    aspect_ratio: deck.ratio.replaceAll(/\s/g, ""),
    max_workers: deck.workers,
    max_cost_usd: budgetValue(deck) ?? undefined,
    cache: deck.anew ? false : undefined,
  });
}

/**
 * Whether what a browser kept, perhaps for another version of the page or by another program at the same address, can be
 * shown. An object where a text is meant would be taken for a part of the page.
 * @param {any} kept
 */
export function isDeck(kept) {
  const are = (type, ...values) => values.every((value) => typeof value === type);
  const isPage = (page) => page && are("string", page.id, page.type, page.title, page.content_text, page.visual_desc) && are("number", page.page_num ?? 0);
  const texts = [kept?.style, kept?.ratio, kept?.deckStyle ?? "", kept?.budget ?? "", kept?.preset ?? "", kept?.batchId ?? ""];
  return Array.isArray(kept?.pages) && kept.pages.every(isPage) && are("string", ...texts) && are("number", kept.workers) && are("object", kept.extras);
}

/** @param {Deck} deck */
export const pagesToMake = (deck) => deck.pages.filter((page) => !page.leftOut);

/** Whether there is nothing to draw: no words, and no picture described. @param {Page} page */
export const isBlank = (page) => !(page.title + page.content_text + page.visual_desc).trim();

/** US dollars; null for no limit, NaN for what is no amount. @param {Deck} deck */
export const budgetValue = ({ budget }) => (budget?.trim() ? Number(/^\d{1,6}([.,]\d+)?$/.test(budget.trim()) ? budget.trim().replace(",", ".") : NaN) : null);

/** @param {Deck} deck */
export const deckTitle = (deck) => deck.pages.find((page) => page.title)?.title ?? t("deck.untitled");

/** "W:H" as a number, or null when it is not a ratio the service takes. @param {string} ratio */
export function ratioValue(ratio) {
  const match = /^\s*([1-9]\d{0,3})\s*:\s*([1-9]\d{0,3})\s*$/.exec(ratio);
  return match && Number(match[1]) / Number(match[2]);
}

/** @param {string} text @returns {{slides: object[]}} */
function parseRequest(text) {
  let value;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new UnreadableDeck(t("read.json", { detail: error.message }));
  }
  const request = Array.isArray(value) ? { slides: value } : value;
  if (!Array.isArray(request.slides)) throw new UnreadableDeck(t("read.noSlides"));
  return request;
}

/** @param {any} slide @param {number} index @returns {Page} */
function toPage(slide, index) {
  if ((slide?.title ?? null) === null) {
    throw new UnreadableDeck(t("read.badSlide", { n: index + 1 }));
  }
  return {
    ...slide,
    id: String(slide.id ?? `slide-${index + 1}`),
    page_num: Number(slide.page_num ?? index + 1),
    type: TYPES.includes(slide.type) ? slide.type : "content",
    title: String(slide.title ?? ""),
    content_text: String(slide.content_text ?? ""),
    visual_desc: String(slide.visual_desc ?? ""),
    leftOut: false,
  };
}

/**
 * Slides from Markdown: `---` lines and `#` headings part them; with one `#` at most, `##` does as well.
 * @param {string} text
 */
function parseMarkdown(text) {
  const lines = text.split(/\r?\n/);
  const prose = markFences(lines);
  const level1 = lines.filter((line, i) => prose[i] && /^#\s/.test(line)).length;
  const opens = level1 > 1 ? /^#\s/ : /^##?\s/;
  const chunks = [[]];
  lines.forEach((line, i) => {
    if (prose[i] && /^\s*-{3,}\s*$/.test(line)) chunks.push([]);
    else if (prose[i] && opens.test(line)) chunks.push([line]);
    else chunks.at(-1).push(line);
  });
  const slides = chunks.filter(hasWords).map(toSlide);
  return slides.map((slide, i) => ({ ...slide, type: guessType(slide, i, slides.length) }));
}

/** Whether a chunk is a slide: not empty, and not the `key: value` lines of a front matter. @param {string[]} chunk */
function hasWords(chunk) {
  const lines = chunk.filter((line) => line.trim());
  return lines.length > 0 && !lines.every((line) => /^(\s|[a-z][\w-]*:(\s|$))/.test(line));
}

/** @param {string[]} chunk */
function toSlide(chunk) {
  const pictures = [];
  const source = chunk.join("\n").replaceAll(NOT_DRAWN, (found, ...rest) => {
    const { code, picture } = rest.at(-1);
    pictures.push(picture);
    return code ? found : "";
  });
  const lines = source.split("\n");
  const prose = markFences(lines);
  const heading = lines.findIndex((line, i) => prose[i] && /^#{1,6}\s/.test(line));
  const first = lines.findIndex((line) => line.trim());
  const titleAt = heading >= 0 ? heading : prose[first] ? first : -1;
  const words = lines.map((line, i) => (prose[i] ? plain(line) : line));
  const body = [];
  words.forEach((line, i) => {
    const isGap = prose[i] && !line.trim() && body.length > 0 && !body.at(-1).trim();
    if (i !== titleAt && !isGap) body.push(line);
  });
  return {
    title: (words[titleAt] ?? "").trim(),
    content_text: body.join("\n").trim(),
    visual_desc: pictures.filter(Boolean).join("\n"),
  };
}

/** A Markdown line as the words to draw. @param {string} line */
function plain(line) {
  return line
    .replace(/^\s*(>\s?)+/, "")
    .replace(/^\s*#{1,6}\s+/, "")
    .replace(/^(\s*)[-*+]\s+/, "$1• ")
    .replaceAll(/\[([^\]]+)\]\([^)]*\)/g, "$1")
    .replaceAll(/(\*\*|__)(.+?)\1/g, "$2")
    .replaceAll(/(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])/g, "$1")
    .replaceAll(/`([^`]+)`/g, "$1");
}

/** @param {{title: string, content_text: string}} slide @param {number} index @param {number} count */
function guessType(slide, index, count) {
  if (index === 0) return "cover";
  const isLast = index === count - 1 && count > 2;
  return isLast && (FAREWELL.test(slide.title) || !slide.content_text) ? "ending" : "content";
}

/** For each line, whether it is outside a code fence; a fence ends with the mark it began with. @param {string[]} lines */
function markFences(lines) {
  let opener = "";
  return lines.map((line) => {
    const [, mark = "", rest = ""] = FENCE.exec(line) ?? [];
    const isProse = !opener && !mark;
    if (mark && !opener) opener = mark;
    else if (mark.startsWith(opener) && mark && !rest.trim()) opener = "";
    return isProse;
  });
}
