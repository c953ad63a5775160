"""What is drawn beside the text: the motif a page's words ask for, else one of a calm few."""

import hashlib
import re

import msgspec

from slideloom.renderer.slide import SlideText

MOTIF_WORDS: tuple[tuple[str, str], ...] = (
    ("puzzle", r"拼图|积木|缺失|模块化|puzzle|lego|modular|missing piece|flexible|building block"),
    ("gauge", r"仪表|圆环|环形|进度|百分比|gauge|progress|dashboard|meter\b|donut"),
    (
        "bars",
        (r"柱状|条形图|图表|数据图|对比图|增长|性能|bar chart|\bcharts?\b|\bbars\b|benchmark|"
        r"statistics|performance"),
    ),
    ("trend", r"折线|曲线|趋势|上升|股|line chart|trend|curve|rising"),
    ("lanes", r"队列|排队|车道|并行|并发|泳道|queue|lanes?\b|parallel|concurren|traffic"),
    ("tracks", r"光轨|光束|光线|流光|汇聚|极光|beam|light track|laser|rays?\b|speed"),
    (
        "pages",
        (r"缩略图|卡片|画页|幻灯片|相册|画廊|thumbnails?|\bcards?\b|gallery|slides\b|themes?\b|"
        r"portfolio|documents?\b"),
    ),
    ("lens", r"放大镜|搜索|查找|时间线|magnif|search|lens|timeline|inspect|\blogs?\b|日志"),
    ("hourglass", r"沙漏|时钟|钟表|计时|倒计时|超时|hourglass|clock|timer|timeout|deadline"),
    ("shield", r"盾|安全|防护|硬币|金币|锁|隐私|shield|secur|safe|\block\b|privacy|coin|trust"),
    (
        "road",
        (r"道路|路标|远方|旅程|路线|公路|road|journey|milestone|path\b|next steps?|roadmap|"
        r"upcoming|future"),
    ),
    (
        "waves",
        (r"水流|波浪|波纹|海|水面|河|阀门|节拍|声波|音|wave|water|ocean|sea\b|river|flow\b|stream|sound|"
        r"async|motion"),
    ),
    (
        "hills",
        (r"山|日出|日落|太阳|风景|田野|草原|森林|mountain|hill|sunrise|sunset|landscape|valley|forest|"
        r"horizon"),
    ),
    ("leaf", r"叶|植物|树|花|自然|生长|leaf|leaves|\bplants?\b|tree|flower|garden|shak"),
    (
        "network",
        (r"网络|节点|连接|拓扑|分布式|互联|神经|network|diagram|flow.?chart|nodes?\b|connect|graph\b|"
        r"mesh|distributed|neural"),
    ),
    ("layers", r"分层|层级|架构|堆叠|底座|layers?\b|stack|architecture|platform"),
    ("brackets", r"代码|编程|程序|终端|code|program|terminal|editor|snippet|typescript|javascript"),
    ("target", r"目标|靶|聚焦|准|target|goal|focus|aim|one thing"),
    ("bulb", r"灯泡|创意|想法|灵感|bulb|idea|creativ|inspir|innovat|tips?\b"),
    ("people", r"团队|人物|用户|客户|会议|合作|team|people|users?\b|audience|community|sponsor"),
    ("globe", r"地球|全球|世界|国际|globe|earth|world|global|planet|compat"),
    ("gears", r"齿轮|机器|引擎|工厂|自动化|gear|engine|machine|automat|utilit|tool|hackable"),
    (
        "bubbles",
        (r"讨论|对话|问答|交流|聊天|谢谢|chat|discuss|question|q\s?&\s?a|talk bubble|speech|"
        r"conversation|thank"),
    ),
    ("paper", r"空白的纸|白纸|纸|信封|\bpaper\b|letter\b|envelope|blank sheet"),
    ("steps", r"阶梯|台阶|楼梯|攀登|流程|stairs?\b|ladder|climb|process|navigation"),
    ("orbit", r"星|轨道|宇宙|太空|行星|space\b|orbit|star|galaxy|rocket|universe"),
    ("city", r"城市|楼|建筑|天际线|city|building|skyline|urban"),
    ("grid", r"网格|矩阵|表格|日历|grid|matrix|table|calendar|mosaic"),
)  # fmt: skip
"""Motif and the words that ask for it; of several the one named first is drawn."""

CALM = (
    "orbit", "cubes", "network", "grid", "arcs", "mesh", "layers", "ribbons",
    "prism", "bloom", "waves", "tracks", "brackets",
)  # fmt: skip
"""Motifs that suit any page, for those whose words name none."""
COVER_CALM = ("mesh", "tracks", "arcs", "waves", "ribbons")
"""The same for covers, where the drawing is large."""
VAGUE = re.compile(
    r"one clear diagram or scene[^;.]*|generous space for the text|full-bleed opening picture[^;.]*"
    r"|quiet closing picture[^;.]*|留白\w*",
    re.IGNORECASE,
)
"""Phrases about pictures in general that name nothing to draw."""

_WORDS = tuple((name, re.compile(words, re.IGNORECASE)) for name, words in MOTIF_WORDS)


def seed_of(*texts: str) -> int:
    """Give a number that is the same for the same texts on every machine."""
    return int.from_bytes(
        hashlib.blake2b("\0".join(texts).encode("utf-8", "replace"), digest_size=4).digest(), "big"
    )


class Motif(msgspec.Struct, frozen=True):
    """The drawing of a page."""

    name: str
    """Its name in the templates."""
    named: bool
    """Whether the page's description asks for it."""


def choose_motif(slide: SlideText, turn: int) -> Motif:
    """Give the motif the description names, else the title's, else a calm one in turn.

    Later takes of a slide go on to what its words name next.
    """
    if names := _named(VAGUE.sub(" ", slide.visual_desc[:2000])):
        return Motif(names[(slide.take - 1) % len(names)], named=True)
    if names := _named(slide.title[:400]):
        return Motif(names[(slide.take - 1) % len(names)], named=False)
    if slide.kind != "content":
        # By the deck alone: the ending answers the cover.
        place = seed_of(slide.style_prompt) + slide.take - 1
        return Motif(COVER_CALM[place % len(COVER_CALM)], named=False)
    return Motif(CALM[turn * 5 % len(CALM)], named=False)


def _named(text: str) -> list[str]:
    """Give the motifs that `text` names, the first one first."""
    hits = [(found.start(), name) for name, words in _WORDS if (found := words.search(text))]
    return [name for _, name in sorted(hits)]
