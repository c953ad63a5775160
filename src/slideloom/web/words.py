"""What refusals say to people: in English and Chinese."""

import re

from slideloom.domain.messages import Language
from slideloom.errors import (
    BodyTooLarge,
    DailyCostReached,
    ForeignOrigin,
    InvalidRequest,
    KeyReused,
    MalformedBody,
    MalformedHost,
    NoPictures,
    NotJson,
    NotTakenUp,
    NotWrittenYet,
    SlideloomError,
    SlideUnderWay,
    Stopping,
    StorageFull,
    StoreError,
    TooManyRequests,
    Unauthorized,
    UnknownBatch,
    UnknownSession,
    UnknownSlide,
    UnknownVersion,
    UnreadableLog,
    WrongHost,
)

_MESSAGES = (
    (r"Expected `(.+?)`, got `(.+?)`", r"\g<0>", r"应为 `\1`，实际是 `\2`"),
    (r"Expected `array` of length >= 1", "must have at least one item", "至少要有一项"),
    (r"Expected `array` of length <= (.+)", r"may have at most \1 items", r"最多 \1 项"),
    (r"Expected `str` of length >= 1", "may not be empty", "不能为空"),
    (r"Expected `str` of length <= (.+)", r"may have at most \1 characters", r"最多 \1 个字符"),
    (r"Expected `int` (<=|>=) (.+)", r"must be \1 \2", r"应 \1 \2"),
    (
        r"Expected `str` matching regex .+|not an aspect ratio like 16:9: .+",
        "must be a ratio like 16:9, one to four digits a side",
        "应为 16:9 这样的比例，每边一到四位数字",
    ),
    (
        r"Invalid enum value (.+)",
        r"\1 is not one of cover, content, ending",
        r"\1 不是 cover、content、ending 之一",
    ),
    (r"Object missing required field `(.+?)`", r"the field `\1` is missing", r"缺少必填字段 `\1`"),
    (r"(Integer value|Number) out of range", "the number is out of range", "数值超出范围"),
    (r"slides (\d+) and (\d+) have the same id", r"\g<0>", r"第 \1 页与第 \2 页的 id 相同"),
    (
        r"for that many slides the style may have (\d+) characters",
        r"\g<0>",
        r"这么多页时风格最多 \1 个字符",
    ),
    (r"(\w+) must be (\d+) to (\d+)", r"\g<0>", r"\1 应在 \2 到 \3 之间"),
    (
        r"must be 1 to 255 visible ASCII characters",
        r"\g<0>",
        "应为 1 到 255 个可见 ASCII 字符",
    ),
    (r"not a cursor of ours", r"\g<0>", "不是有效的 cursor"),
    (r"Input data was truncated", "it ends too early", "内容不完整"),
    (r"it is empty", r"\g<0>", "内容为空"),
    (
        r"it begins with a byte-order mark",
        "it begins with a byte-order mark; send UTF-8 without one",
        "开头有字节序标记，请发送不带 BOM 的 UTF-8",
    ),
    (r"nested too deep", r"\g<0>", "嵌套太深"),
    (r"not UTF-8 at byte (\d+)", r"\g<0>", r"第 \1 字节不是 UTF-8"),
    (
        r"JSON is malformed: .*\(byte (\d+)\)",
        r"it is malformed at byte \1",
        r"第 \1 字节处格式有误",
    ),
)
"""What the decoder and our own checks say, in words; English, Chinese."""
_DETAILS: dict[type[SlideloomError], dict[Language, str]] = {
    MalformedBody: {
        "en": "The body is not valid JSON: {2}.",
        "zh": "请求体不是有效的 JSON：{2}。",
    },
    InvalidRequest: {
        "en": "The request is not valid at {1}: {2}.",
        "zh": "请求在 {1} 处无效：{2}。",
    },
    BodyTooLarge: {
        "en": "The body is larger than {0.limit_bytes} bytes.",
        "zh": "请求体超过 {0.limit_bytes} 字节。",
    },
    NotJson: {
        "en": "Send the body as JSON, with Content-Type: application/json.",
        "zh": "请以 JSON 发送请求体，并设置 Content-Type: application/json。",
    },
    MalformedHost: {
        "en": "The request needs one Host header with the name of this service.",
        "zh": "请求需要且只能有一个 Host 头，写明本服务的名称。",
    },
    WrongHost: {
        "en": "This service does not answer to the name {0.host}. If it is one of its names,"
        " add it to the setting ALLOWED_HOSTS.",
        "zh": "本服务不接受名称 {0.host}。如果它确实是本服务的名称，请加入设置 ALLOWED_HOSTS。",
    },
    ForeignOrigin: {
        "en": "Pages of {0.origin} may not use this service. If they should, add that origin to"
        " the setting ALLOWED_ORIGINS.",
        "zh": "来自 {0.origin} 的页面不能使用本服务。如需允许，请加入设置 ALLOWED_ORIGINS。",
    },
    Unauthorized: {
        "en": "This service needs a token: send Authorization: Bearer and one of the secrets in"
        " API_TOKENS, or sign in on the page.",
        "zh": "本服务需要令牌：请发送 Authorization: Bearer 加 API_TOKENS 中的密钥，"
        "或在网页上登录。",
    },
    TooManyRequests: {
        "en": "This token has sent too many requests. Go on in {0.retry_after_s} s.",
        "zh": "这个令牌的请求过多，请在 {0.retry_after_s} 秒后继续。",
    },
    DailyCostReached: {
        "en": "What is left of the {0.limit_usd:.2f} US dollars for today pays for no picture more,"
        " and nothing was started. Go on tomorrow (UTC), or raise MAX_COST_PER_DAY.",
        "zh": "今天的 {0.limit_usd:.2f} 美元额度所剩不够再生成一张图，没有开始任何工作。"
        "请明天（UTC）继续，或提高 MAX_COST_PER_DAY。",
    },
    UnknownBatch: {
        "en": "There is no such batch, or its record has been cleaned up.",
        "zh": "没有这个批次，或其记录已被清理。",
    },
    UnknownSlide: {
        "en": "The batch has no slide {0.slide_id}.",
        "zh": "该批次中没有这一页：{0.slide_id}。",
    },
    UnknownVersion: {
        "en": "The slide {0.slide_id} has no version {0.version}.",
        "zh": "第 {0.slide_id} 页没有版本 {0.version}。",
    },
    SlideUnderWay: {
        "en": "The slide is being made just now; wait for its end, then try again.",
        "zh": "这一页正在生成，请等它结束后再试。",
    },
    NoPictures: {
        "en": "There is no finished picture to take home. Wait for one, or make the slides again.",
        "zh": "没有可导出的已完成图片，请等待生成或重新生成。",
    },
    KeyReused: {
        "en": "This Idempotency-Key stands for another request already. Use a new key.",
        "zh": "这个 Idempotency-Key 已用于另一个请求，请换一个新的。",
    },
    UnknownSession: {
        "en": "There are no log files of such a session.",
        "zh": "没有这个会话的日志文件。",
    },
    StorageFull: {
        "en": "There is no room to keep pictures or records, and nothing was started: {0}.",
        "zh": "磁盘空间不足，无法保存图片或记录，没有开始任何工作：{0}。",
    },
    NotTakenUp: {
        "en": "A restart left this batch open; it is about to go on. Try again soon.",
        "zh": "重启时这个批次尚未完成，即将继续，请稍后再试。",
    },
    NotWrittenYet: {
        "en": "The service's database does not answer: this is carried out, but may not be"
        " recorded yet. Ask how the batch is before you try again.",
        "zh": "服务的数据库没有响应：操作正在执行，但可能尚未记录。请先查询批次状态再重试。",
    },
    UnreadableLog: {
        "en": "The record of this batch is damaged and cannot be read; the log says how.",
        "zh": "这个批次的记录已损坏，无法读取，详情见日志。",
    },
    StoreError: {
        "en": "The service's database or storage failed; nothing was started. Try again soon.",
        "zh": "服务的数据库或存储出错，没有开始任何工作。请稍后再试。",
    },
    Stopping: {
        "en": "The service is shutting down. Try again soon.",
        "zh": "服务正在停止，请稍后再试。",
    },
}
_HTTP_DETAILS: dict[int, dict[Language, str]] = {
    404: {"en": "There is nothing at this address.", "zh": "这个地址没有内容。"},
    405: {"en": "This address does not take that method.", "zh": "这个地址不支持该方法。"},
    416: {"en": "The file has no such part.", "zh": "文件没有这一部分。"},
}
_INTERNAL: dict[Language, str] = {
    "en": "Something in this service failed; its log has the details under the request id.",
    "zh": "服务内部出错，日志中可按 request_id 查到详情。",
}


def explain(error: Exception, language: Language, *, place: str = "") -> str:
    """What a person can do about an error; of ours, the more special class has the word.

    `place`: where in the request it is.
    """
    for kind in type(error).__mro__:
        if kind in _DETAILS:
            return _DETAILS[kind][language].format(error, place, in_words(error, language))
    return _INTERNAL[language]  # a stranger's text is not for users, and may not even be had


def explain_status(status: int, language: Language) -> str | None:
    """The same for what the router refuses; `None`: it has words of its own."""
    return _HTTP_DETAILS.get(status, {}).get(language)


def in_words(error: Exception, language: Language) -> str:
    """What is wrong, for people: the decoder speaks of regexes and lengths."""
    for pattern, english, chinese in _MESSAGES:
        if (found := re.fullmatch(pattern, str(error))) is not None:
            return found.expand(english if language == "en" else chinese)
    return str(error)
