/** Styles to start from, and the usual shapes. The colours drawn on a preset's swatch are the ones its prompt names. */

/** @typedef {{id: string, colours: [ground: string, ink: string, accent: string]}} Preset Its name and prompt are `preset.<id>` and `prompt.<id>`. */

export const RATIOS = ["16:9", "4:3", "1:1", "9:16"];

/** @type {Preset[]} */
export const PRESETS = [
  { id: "paper", colours: ["#F7F5F0", "#1F2328", "#B5482E"] },
  { id: "business", colours: ["#FFFFFF", "#14345C", "#1F6FEB"] },
  { id: "night", colours: ["#0B1626", "#E6F1FF", "#38D6C4"] },
  { id: "ink", colours: ["#F4F0E6", "#23262B", "#9A2A2A"] },
  { id: "swiss", colours: ["#F2F2F0", "#111111", "#E3221B"] },
  { id: "clay", colours: ["#FBEFE6", "#4A3B52", "#F08A5D"] },
  { id: "sketch", colours: ["#FFFDF6", "#2E2E2E", "#FFC93C"] },
];
