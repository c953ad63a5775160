/** Styles to start from, and the usual shapes. The colours drawn on a preset's swatch are the ones its prompt names. */

/** @typedef {{id: string, colours: [ground: string, ink: string, accent: string], name: {en: string, zh: string},
 *   prompt: {en: string, zh: string}}} Preset */

export const RATIOS = ["16:9", "4:3", "1:1", "9:16"];

/** @type {Preset[]} */
export const PRESETS = [
  {
    id: "paper",
    colours: ["#F7F5F0", "#1F2328", "#B5482E"],
    name: { en: "Paper", zh: "素纸" },
    prompt: {
      en: "Editorial calm: warm paper ground #F7F5F0, ink #1F2328, a single accent #B5482E; wide margins, one strong illustration a page, fine grain, no decoration for its own sake",
      zh: "素净的杂志版式：纸色底 #F7F5F0，墨色文字 #1F2328，唯一点缀色 #B5482E；留白宽阔，每页一幅有力的插图，细腻纸纹，不作多余装饰",
    },
  },
  {
    id: "business",
    colours: ["#FFFFFF", "#14345C", "#1F6FEB"],
    name: { en: "Business", zh: "清朗商务" },
    prompt: {
      en: "Clear business report: white ground #FFFFFF, deep blue #14345C titles, bright blue #1F6FEB accents; tidy grid, simple charts and icons, plenty of white space, soft shadows",
      zh: "清朗的商务汇报：白底 #FFFFFF，深蓝标题 #14345C，亮蓝点缀 #1F6FEB；规整网格，简洁图表与图标，留白充足，柔和阴影",
    },
  },
  {
    id: "night",
    colours: ["#0B1626", "#E6F1FF", "#38D6C4"],
    name: { en: "Night tech", zh: "深夜科技" },
    prompt: {
      en: "Night technology: deep navy ground #0B1626, pale text #E6F1FF, teal light #38D6C4; thin glowing lines, depth and soft bloom, precise geometry, high contrast",
      zh: "深夜科技感：深海军蓝底 #0B1626，浅色文字 #E6F1FF，青色光线 #38D6C4；纤细发光线条，空间纵深与柔和光晕，几何精确，对比分明",
    },
  },
  {
    id: "ink",
    colours: ["#F4F0E6", "#23262B", "#9A2A2A"],
    name: { en: "Ink wash", zh: "水墨" },
    prompt: {
      en: "Chinese ink wash: rice-paper ground #F4F0E6, flowing ink #23262B in many greys, a small seal of cinnabar #9A2A2A; mist and empty space, brush texture, poised composition",
      zh: "中国水墨：宣纸底 #F4F0E6，墨分五色 #23262B，一点朱砂 #9A2A2A；云雾与留白，笔触可见，构图从容",
    },
  },
  {
    id: "swiss",
    colours: ["#F2F2F0", "#111111", "#E3221B"],
    name: { en: "Swiss", zh: "瑞士海报" },
    prompt: {
      en: "Swiss poster: light ground #F2F2F0, black #111111 grotesque type, red #E3221B blocks; strict grid, large scale contrast, flat shapes, asymmetry with purpose",
      zh: "瑞士国际主义海报：浅底 #F2F2F0，黑色无衬线字 #111111，红色块面 #E3221B；严格网格，大小对比强烈，平面图形，有意的不对称",
    },
  },
  {
    id: "clay",
    colours: ["#FBEFE6", "#4A3B52", "#F08A5D"],
    name: { en: "Soft clay", zh: "软黏土" },
    prompt: {
      en: "Soft clay 3D: peach ground #FBEFE6, plum text #4A3B52, apricot #F08A5D and mint forms; rounded miniature scenes, studio light, gentle shadows, friendly",
      zh: "柔软黏土三维：蜜桃色底 #FBEFE6，梅紫文字 #4A3B52，杏橙 #F08A5D 与薄荷色形体；圆润的微缩场景，影棚光，阴影轻柔，亲切",
    },
  },
  {
    id: "sketch",
    colours: ["#FFFDF6", "#2E2E2E", "#FFC93C"],
    name: { en: "Sketch", zh: "手绘" },
    prompt: {
      en: "Hand-drawn sketchnote: off-white page #FFFDF6, graphite lines #2E2E2E, marker yellow #FFC93C highlights; loose arrows and small figures, one idea a page, lively but tidy",
      zh: "手绘笔记：米白纸 #FFFDF6，石墨线条 #2E2E2E，马克笔黄 #FFC93C 作强调；随手的箭头与小人，一页一个想法，生动而不凌乱",
    },
  },
];
