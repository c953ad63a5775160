"""The command line's sentences, in the reader's language; English is the key."""

import os
from collections.abc import Mapping

from slideloom.domain.messages import Language

_CHINESE = {
    "No Slideloom answers at {url}. Start one: slideloom serve": (
        "{url} 上没有 Slideloom 服务。请先启动：slideloom serve"
    ),
    "No service is running: making the deck here.": "没有正在运行的服务，就在本机生成。",
    "{count} slides from {provider} ({model}), {cost}, about {time}": (
        "共 {count} 页，由 {provider}（{model}）生成，{cost}，约需 {time}"
    ),
    "nothing to pay": "无需付费",
    "cost unknown": "费用未知",
    "The same deck as before: going on with batch {batch_id}.": (
        "与上次是同一套幻灯片：继续任务 {batch_id}。"
    ),
    "Detached: batch {batch_id} goes on. Come back to it with:": (
        "已脱离：任务 {batch_id} 仍在进行。稍后可用以下命令继续："
    ),
    "Stopped. What is made is kept; go on with:": "已停止，做好的都已保留。继续请运行：",
    "Stopping: calls under way get {seconds} s; Ctrl-C again stops now.": (
        "正在停止：进行中的调用还有 {seconds} 秒；再按一次 Ctrl-C 立即停止。"
    ),
    "{done} of {all} slides done": "{all} 页中已完成 {done} 页",
    "{failed} failed": "{failed} 页失败",
    "{done} pictures are in {folder}": "{done} 张图片已保存在 {folder}",
    "Make the failed slides again with:": "重新生成失败的页：",
    "{count} slides": "{count} 页",
    "First look at the key and the account: slideloom check": (
        "请先检查密钥与账户：slideloom check"
    ),
    "page {page}": "第 {page} 页",
    "again in {seconds} s": "{seconds} 秒后重试",
    "Without pages {pages}, which have no picture.": "缺少第 {pages} 页，它们没有图片。",
    "Cancelled: batch {batch_id}. What was made stays.": "已取消任务 {batch_id}，做好的都已保留。",
    "Watch it: slideloom watch {batch_id}": "查看进度：slideloom watch {batch_id}",
    "Nothing to make again: every slide is done.": "没有需要重新生成的页：全部已完成。",
    "Nothing to make again: what was named is done.": "没有需要重新生成的页：所指定的页已完成。",
    "It had already ended.": "任务此前已经结束。",
    "There are no batches yet.": "还没有任务。",
}


def find_language(environ: Mapping[str, str] = os.environ) -> Language:
    """Chinese where the locale is, else English."""
    names = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, names), "").lower().startswith("zh") else "en"


def tell(text: str, **facts: object) -> str:
    """`text` in the reader's language, with the facts in it."""
    words = _CHINESE.get(text, text) if find_language() == "zh" else text
    return words.format(**facts) if facts else words
