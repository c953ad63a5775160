/** Numbers as people read them, in the page's language. */
import { currentLang, langTag } from "./i18n.js";

/** "42 s", "1 min 05 s". @param {number} seconds */
export function formatSeconds(seconds) {
  const [min, sec] = currentLang() === "zh" ? [" 分 ", " 秒"] : [" min ", " s"];
  if (seconds < 10) return `${Number(seconds.toFixed(1))}${sec}`;
  const whole = Math.round(seconds);
  if (whole < 60) return `${whole}${sec}`;
  return `${Math.floor(whole / 60)}${min}${String(whole % 60).padStart(2, "0")}${sec}`;
}

/** A running clock: "0:42", "12:05", "1:02:05". @param {number} seconds */
export function formatClock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const [h, m, s] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60, whole % 60];
  const tail = String(s).padStart(2, "0");
  return h ? `${h}:${String(m).padStart(2, "0")}:${tail}` : `${m}:${tail}`;
}

/** @param {number} usd */
export function formatCost(usd) {
  const digits = { minimumFractionDigits: 2, maximumFractionDigits: usd < 0.1 ? 3 : 2 };
  return new Intl.NumberFormat(langTag(), { style: "currency", currency: "USD", currencyDisplay: "narrowSymbol", ...digits }).format(usd);
}

/** "5 minutes ago". @param {string} timestamp ISO 8601 */
export function formatAgo(timestamp) {
  const seconds = (Date.parse(timestamp) - Date.now()) / 1000;
  const words = new Intl.RelativeTimeFormat(langTag(), { numeric: "auto" });
  if (seconds > -60) return words.format(Math.min(0, Math.round(seconds)), "second");
  if (seconds > -3600) return words.format(Math.round(seconds / 60), "minute");
  if (seconds > -86_400) return words.format(Math.round(seconds / 3600), "hour");
  return words.format(Math.round(seconds / 86_400), "day");
}
