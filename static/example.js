/** The example deck: six pages, in the page's language. */

const en = {
  slides: [
    { type: "cover", title: "The Sea Is a Clock", content_text: "How tides keep time\nA short talk in six pages", visual_desc: "A wide calm shore at dawn, seen from above, the wet sand drawing curved lines like a clock face" },
    { type: "content", title: "Two pulls, one rhythm", content_text: "• The Moon raises the water twice a day\n• The Sun adds to it, or takes away\n• Together they make spring and neap tides", visual_desc: "Moon, Earth and Sun in one line, the ocean gently stretched towards both" },
    { type: "content", title: "12 h 25 min", content_text: "From one high tide to the next.\nThe Moon moves on while the Earth turns, so the sea is always a little late.", visual_desc: "One large dial whose hand is a thin crescent moon, much empty space" },
    { type: "content", title: "Life between the lines", content_text: "• Mussels close, and wait\n• Crabs follow the falling edge\n• Birds know the timetable", visual_desc: "A cross-section of a rocky shore in layers, each with its own creatures" },
    { type: "content", title: "Power that never skips", content_text: "Tidal stream: predictable for a hundred years\nWind: a few days\nClouds: a few hours", visual_desc: "Three horizontal bars of very different length, drawn as currents of water" },
    { type: "ending", title: "Come back in six hours", content_text: "It will look different.", visual_desc: "The same shore as on the cover, now under water, a single boat at rest" },
  ],
  style_prompt: "Editorial calm by the sea: paper ground #F4F1EA, deep water #0F3D4C, foam #DCE9E6, one accent of buoy orange #E4672E; wide margins, fine line drawing with soft washes",
  max_workers: 3,
  aspect_ratio: "16:9",
};

const zh = {
  slides: [
    { type: "cover", title: "茶的时间", content_text: "从一片叶子到一杯茶\n六页小讲", visual_desc: "清晨的梯田茶园，薄雾在山谷间流动，远山层层淡去" },
    { type: "content", title: "一叶六色", content_text: "• 绿茶：不发酵，留住鲜\n• 乌龙：半发酵，取其香\n• 红茶：全发酵，得其醇", visual_desc: "三只白瓷盏一字排开，茶汤由青绿渐至琥珀、赤红" },
    { type: "content", title: "80 ℃", content_text: "绿茶最怕滚水。\n水温降下来，苦涩退去，甘甜才会出来。", visual_desc: "一缕热气从壶嘴升起，大面积留白，一支温度计般的细线" },
    { type: "content", title: "三泡三味", content_text: "第一泡，闻其香\n第二泡，品其味\n第三泡，回其甘", visual_desc: "同一只茶盏三次注水，颜色由浓至淡，像三个月相" },
    { type: "content", title: "慢，也是一种效率", content_text: "• 等水开的三分钟，把事情想清楚\n• 一壶茶的工夫，足够好好谈一件事\n• 放下杯子，再回到案前", visual_desc: "窗边的书案，一壶茶、一本合上的书、一段斜照的光" },
    { type: "ending", title: "请用茶", content_text: "谢谢", visual_desc: "俯看一杯清茶，杯底一片舒展的叶子，四周安静" },
  ],
  style_prompt: "新中式，素雅：宣纸底 #F5F1E8，黛青 #24414A，茶绿 #7A9A6B，一点赭石 #B5652F；留白宽阔，细线与淡彩，气韵安静",
  max_workers: 3,
  aspect_ratio: "16:9",
};

export const EXAMPLES = { en, zh };
