"""The command line's sentences, in the reader's language; English is the key."""

import os
import re
from collections.abc import Iterable, Mapping

from slideloom.domain.messages import Language

_CHINESE = {
    "No Slideloom answers at {url}. Start one: slideloom serve": (
        "{url} 上没有 Slideloom 服务。请先启动：slideloom serve"
    ),
    "No service is running: making the deck here.": "没有正在运行的服务，就在本机生成。",
    "1 slide from {provider} ({model})": "共 1 页，由 {provider}（{model}）生成",
    "{count} slides from {provider} ({model})": "共 {count} 页，由 {provider}（{model}）生成",
    "{count} from the cache": "{count} 页取自缓存",
    "about {time}": "约需 {time}",
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
    "{done}/{all} done": "完成 {done}/{all}",
    "{failed} failed": "{failed} 页失败",
    "1 call without a picture may be billed": "1 次没有得到图片的调用可能已计费",
    "{count} calls without a picture may be billed": "{count} 次没有得到图片的调用可能已计费",
    "pending": "等待中",
    "running": "进行中",
    "completed": "已完成",
    "failed": "失败",
    "cancelled": "已取消",
    "1 picture is in {folder}": "1 张图片已保存在 {folder}",
    "{count} pictures are in {folder}": "{count} 张图片已保存在 {folder}",
    "Pictures cannot be saved in {folder}: {reason}": "图片无法保存到 {folder}：{reason}",
    "{place} cannot be read or written: {reason}": "{place} 无法读写：{reason}",
    " (request {request_id})": "（请求 {request_id}）",
    "{subject}: {words}": "{subject}：{words}",
    "Make the failed slides again with:": "重新生成失败的页：",
    "{count} slides": "{count} 页",
    "First look at the key and the account: slideloom check": (
        "请先检查密钥与账户：slideloom check"
    ),
    "page {page}": "第 {page} 页",
    "Waiting {seconds} s: {reason}": "等待 {seconds} 秒：{reason}",
    "again in {seconds} s": "{seconds} 秒后重试",
    "again at once": "立即重试",
    "Without page {pages}, which has no picture.": "缺少第 {pages} 页，它没有图片。",
    "Without pages {pages}, which have no picture.": "缺少第 {pages} 页，它们没有图片。",
    "Watch it: slideloom watch {batch_id}": "查看进度：slideloom watch {batch_id}",
    "Nothing to make again: every slide is done.": "没有需要重新生成的页：全部已完成。",
    "Nothing to make again: what was named is done.": "没有需要重新生成的页：所指定的页已完成。",
    "It had already ended.": "任务此前已经结束。",
    "There are no batches yet.": "还没有任务。",
    "Slideloom is at {url} - stop it with Ctrl-C.": "Slideloom 已启动：{url}（按 Ctrl-C 停止）",
    "Slideloom makes decks off the queue, pictures by {model} ({provider}); stop: Ctrl-C.": (
        "Slideloom 正在处理队列中的幻灯片，图片由 {model}（{provider}）生成（按 Ctrl-C 停止）"
    ),
    "The EMBEDDED RENDERER typesets the pictures: {why}": "图片由内置渲染器排版：{why}",
    "no API key is set.": "没有设置 API 密钥。",
    "To have a model draw them, set LLM_IMAGE_API_KEY (see .env.example).": (
        "如需由模型绘制，请设置 LLM_IMAGE_API_KEY（见 .env.example）。"
    ),
    "Pictures come from {model} ({provider}).": "图片由 {model}（{provider}）生成。",
    "Going on with 1 unfinished deck.": "继续 1 套未完成的幻灯片。",
    "Going on with {count} unfinished decks.": "继续 {count} 套未完成的幻灯片。",
    "1 slide was cut off and may have been billed.": "1 页被中断，可能已计费。",
    "{count} slides were cut off and may have been billed.": "{count} 页被中断，可能已计费。",
    "{name} must end in .pptx, .pdf or .zip": "{name} 必须以 .pptx、.pdf 或 .zip 结尾",
    "Warning: {warning}": "注意：{warning}",
    "Stopping.": "正在停止。",
    "The service wants a token: set SLIDELOOM_TOKEN.": (
        "该服务需要令牌：请设置环境变量 SLIDELOOM_TOKEN。"
    ),
    "The service does not take this token: set SLIDELOOM_TOKEN to another one.": (
        "该服务不接受此令牌：请为 SLIDELOOM_TOKEN 换一个有效的令牌。"
    ),
    "The service does not take the token of --token: give another one.": (
        "该服务不接受 --token 给出的令牌：请换一个有效的令牌。"
    ),
    "No token for {url}, which only this folder names; --server {url} allows it.": (
        "只有本文件夹提到 {url}，因此不向它出示令牌；如需出示，请加上 --server {url}。"
    ),
}
_FINDINGS_ZH = tuple(
    (re.compile(words), chinese)
    for words, chinese in (
        (r"^settings$", "设置"),
        (r"^access$", "访问"),
        (r"^tokens of (.+)$", r"持有令牌的有 \1"),
        (r"^without tokens; listens at (\S+)$", r"没有令牌；监听 \1"),
        (
            r"^HOST=(\S+) is reached from other machines, .*$",
            (
                r"HOST=\1 可从其他机器访问，没有 API_TOKENS 时任何人都能用你的钱制作幻灯片："
                "请设置 API_TOKENS，或用 --insecure 启动"
            ),
        ),
        (r"^provider$", "服务商"),
        (r"^price$", "价格"),
        (r"^key (\d+) of (\d+)$", r"密钥 \1/\2"),
        (r"^read from the environment and \.env$", "已读取环境变量和 .env"),
        (r"^(.+) can be written, (\d+) MB free$", r"\1 可写，剩余 \2 MB"),
        (r"^(.+) cannot be written$", r"\1 不可写"),
        (
            r"^MAX_CONNECTIONS is (\d+) here: the system allows no more open files$",
            r"MAX_CONNECTIONS 在此为 \1：系统不允许打开更多文件",
        ),
        (r"^(s3://\S+) takes pictures$", r"\1 可写入图片"),
        (r"^(s3://\S+) cannot be used: ", r"\1 不可用："),
        (r"^(.+): (\d+) MB free, (\d+) MB wanted$", r"\1：剩余 \2 MB，需要 \3 MB"),
        (r"the embedded renderer needs no key and costs nothing", "内置渲染器，无需密钥，不收费"),
        (r"(\S+) answers, but lists no models", r"\1 有应答，但没有列出模型"),
        (r"(\S+) answers and lists (\d+) models?", r"\1 有应答，列出 \2 个模型"),
        (r"; (\S+(?: and \S+)*) not among them", r"；其中没有 \1"),
        (r", (\S+(?: and \S+)*) among them", r"，其中有 \1"),
        (
            r"; whether it takes the key shows at the first picture",
            "；密钥是否有效要到第一张图才知道",
        ),
        (r"(\S+) takes the key, but its limit is used up", r"\1 接受该密钥，但其限额已用完"),
        (r"(\S+) takes the key", r"\1 接受该密钥"),
        (r", \$([\d.]+) used", r"，已用 $\1"),
        (r", \$([\d.]+) left of its limit", r"，限额剩 $\1"),
        (r", no limit of its own", "，自身没有限额"),
        (r", free tier$", "，免费档"),
        (r"^(\S+): \$(\S+) to \$(\S+) a picture$", r"\1：每张 $\2 至 $\3"),
        (r"^(\S+): \$(\S+) a picture$", r"\1：每张 $\2"),
        (
            r"^(\S+) is not in the price list; .*$",
            r"价格表中没有 \1；有预算的幻灯片在得知账单前逐次调用",
        ),
        (r"^Redis (\S+) answers at (\S+)$", r"\2 上的 Redis \1 有应答"),
        (
            r"^Redis at (\S+) has appendonly off: batches are lost when it restarts$",
            r"\1 上的 Redis 未开启 appendonly：它重启后任务会丢失",
        ),
        (
            r"^Redis at (\S+) has appendfsync (\S+), not always: .*$",
            r"\1 上的 Redis 的 appendfsync 为 \2 而非 always：它崩溃时，已应答的事件可能丢失",
        ),
        (r"^Redis at (\S+) does not answer$", r"\1 上的 Redis 没有应答"),
        (
            r"^Redis at (\S+) does not accept the user or password: ",
            r"\1 上的 Redis 不接受该用户或密码：",
        ),
        (
            r"^Redis at (\S+) does not let this user do what is needed with .* called (\S+): ",
            r"\1 上的 Redis 不允许该用户对名为 \2 的键和频道进行所需的操作：",
        ),
        (
            r"^Redis at (\S+) is a replica, which takes no writes: its master is needed$",
            r"\1 上的 Redis 是只读副本：需要连接其主服务器",
        ),
        (r"^Redis at (\S+) cannot be used: ", r"\1 上的 Redis 无法使用："),
        (r"^(\S+) is missing: install ", r"缺少 \1：请安装 "),
    )
)
"""What `check` finds; a provider's own words stay as they are."""


def find_language(environ: Mapping[str, str] = os.environ) -> Language:
    """Chinese where the locale is, else English."""
    names = (environ.get(name, "") for name in ("LC_ALL", "LC_MESSAGES", "LANG"))
    return "zh" if next(filter(None, names), "").lower().startswith("zh") else "en"


def translate(finding: str) -> str:
    """What `check` found, in the reader's language as far as we know the words."""
    if find_language() == "zh":
        for words, chinese in _FINDINGS_ZH:
            finding = words.sub(chinese, finding)
    return finding


def join_facts(facts: Iterable[str]) -> str:
    """Facts in one line."""
    return ("，" if find_language() == "zh" else ", ").join(facts)


def tell_count(count: int, one: str, many: str, **facts: object) -> str:
    """`one` or `many` in the reader's language, with the count and the facts in it."""
    return tell(one if count == 1 else many, count=count, **facts)


def tell(text: str, **facts: object) -> str:
    """`text` in the reader's language, with the facts in it."""
    words = _CHINESE.get(text, text) if find_language() == "zh" else text
    return words.format(**facts) if facts else words
