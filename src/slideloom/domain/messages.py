"""What people are told when a slide fails, in both languages."""

import re
from typing import Literal

from slideloom.errors import SlideErrorCode

Language = Literal["en", "zh"]

_SLIDE_ERRORS: dict[SlideErrorCode, dict[Language, str]] = {
    "rate_limited": {
        "en": "The image provider had no room for this slide in time."
        " Try again later or with fewer workers.",
        "zh": "图片服务商限流，时限内没有轮到这一页。请稍后再试，或减少并发数。",
    },
    "quota_exhausted": {
        "en": "The image provider's account has no credit or quota left."
        " Top it up, then make the slide again.",
        "zh": "图片服务商账户余额或配额已用完。请充值后重新生成这一页。",
    },
    "auth_failed": {
        "en": "The image provider refused the API key. Check the key (LLM_IMAGE_API_KEY or"
        " LLM_API_KEY) and its access to the model, then make the slide again.",
        "zh": "图片服务商拒绝了 API 密钥。请检查密钥（LLM_IMAGE_API_KEY 或 LLM_API_KEY）"
        "及其对该模型的权限，然后重新生成这一页。",
    },
    "content_blocked": {
        "en": "The image provider refused this content. Reword the slide, then make it again.",
        "zh": "图片服务商以内容政策为由拒绝了这一页。请修改文字后重新生成。",
    },
    "no_image": {
        "en": "The image provider answered without a picture. Make the slide again or reword it.",
        "zh": "图片服务商的回答里没有图片。请重新生成这一页，或修改描述。",
    },
    "invalid_image": {
        "en": "The image provider sent a broken picture. Make the slide again.",
        "zh": "图片服务商返回的图片已损坏。请重新生成这一页。",
    },
    "bad_request": {
        "en": "The image provider does not take this request."
        " Check the slide's text, LLM_IMAGE_MODEL and LLM_IMAGE_API_BASE.",
        "zh": "图片服务商不接受这个请求。"
        "请检查这一页的文字、LLM_IMAGE_MODEL 与 LLM_IMAGE_API_BASE。",
    },
    "upstream_unavailable": {
        "en": "The image provider could not be reached or failed. Make the slide again later.",
        "zh": "图片服务商无法连接或出错。请稍后重新生成这一页。",
    },
    "timeout": {
        "en": "The image provider did not deliver the picture in time."
        " Make the slide again, or raise SLIDE_TIMEOUT_SECONDS.",
        "zh": "图片服务商没有在时限内给出图片。请重新生成这一页，或调大 SLIDE_TIMEOUT_SECONDS。",
    },
    "batch_timeout": {
        "en": "The batch's time was up before this slide was made. Make it again.",
        "zh": "整套时限已到，这一页尚未完成。请重新生成。",
    },
    "interrupted": {
        "en": "The service stopped before this slide was made. Make it again.",
        "zh": "服务中途停止，这一页没有完成。请重新生成。",
    },
    "cancelled": {
        "en": "The batch was cancelled before this slide was made. Make it again if you want it.",
        "zh": "任务已取消，这一页没有生成。如仍需要，请重新生成。",
    },
    "budget_exceeded": {
        "en": "What is left of the batch's budget does not cover another picture."
        " Raise max_cost_usd (or MAX_COST_USD), then make the slide again.",
        "zh": "这套幻灯片剩余的预算不够再生成一张图。"
        "请提高 max_cost_usd（或 MAX_COST_USD）后重新生成这一页。",
    },
    "storage_full": {
        "en": "The picture cannot be kept. Free disk space or make IMAGE_OUTPUT_DIR writable,"
        " then make the slide again.",
        "zh": "图片无法保存。请清理磁盘或使 IMAGE_OUTPUT_DIR 可写，然后重新生成这一页。",
    },
    "blocked_url": {
        "en": "The image provider gave an address that is not public https; it was not opened."
        " Make the slide again; if it stays so, choose another model.",
        "zh": "图片服务商给出的地址不是公网 https 地址，没有打开。"
        "请重新生成；若仍如此，请换一个模型。",
    },
    "internal": {
        "en": "Something in this service failed; its log has the details. Make the slide again.",
        "zh": "服务内部出错，详情见日志。请重新生成这一页。",
    },
}


_MAY_BE_CHARGED: dict[Language, str] = {
    "en": " It may have been charged.",
    "zh": "这次调用可能已经计费。",
}


NO_REFERENCE = "no reference"
"""Detail of a slide that was not made because the one whose style it follows was not."""
NO_PRICE = "nobody says what {} costs"
"""Detail of a slide that a budget kept from being made, for want of a price."""
DAY_SPENT = "the day's limit is spent"
"""Beginning of a slide's detail that was not made because of MAX_COST_PER_DAY."""
_OWN_SENTENCES: dict[str, dict[Language, str]] = {
    NO_REFERENCE: {
        "en": "Not made and not paid: the picture whose style this slide was to have is not"
        " there. Mend that slide or the reference, then send the deck again.",
        "zh": "没有生成，也没有计费：这一页要参照其风格的图片不可用。"
        "请先修好那一页或参考图，再重新提交。",
    },
    DAY_SPENT: {
        "en": "What may be spent today does not cover another picture. Make the slide again"
        " tomorrow (UTC), or raise MAX_COST_PER_DAY.",
        "zh": "今天剩余的额度不够再生成一张图。请明天（UTC）重新生成，或提高 MAX_COST_PER_DAY。",
    },
    NO_PRICE.partition(" {}")[0]: {
        "en": "The price of this model is not known, so the budget cannot be kept."
        " Send the deck without max_cost_usd, or choose a model of the price list.",
        "zh": "不知道该模型的价格，无法保证不超预算。请去掉 max_cost_usd，或改用价格表中的模型。",
    },
}
"""Where a detail of ours says more than its code."""
_OWN_DETAILS_ZH = (
    (re.compile(r"no picture within ([\d.]+) s"), r"\1 秒内没有图片"),
    (
        re.compile(r"\$([\d.]+) of \$([\d.]+) left, \$([\d.]+) needed"),
        r"预算 \2 美元，剩 \1，需 \3",
    ),
    (re.compile(r"\$([\d.]+) of \$([\d.]+) left"), r"预算 \2 美元，剩 \1"),
    (re.compile(r"silent for ([\d.]+) s in the middle of the answer"), r"回答中途沉默了 \1 秒"),
    (re.compile(r"cannot connect to (\S+): connection refused"), r"无法连接 \1：连接被拒绝"),
    (re.compile(r"cannot connect to (\S+)"), r"无法连接 \1"),
    (re.compile(r"(\d+) MB free, (\d+) MB wanted"), r"剩 \1 MB，需 \2 MB"),
    (re.compile(r"no such host: (\S+)"), r"找不到主机 \1"),
)
"""Our own details; the provider's words stay as they are."""


def slide_error_message(
    code: SlideErrorCode, detail: str, language: Language, *, possibly_billed: bool
) -> str:
    """What failed, what it may have cost, what to do, and the provider's own words behind it."""
    own = next((words for start, words in _OWN_SENTENCES.items() if detail.startswith(start)), None)
    if own is not None:
        return own[language]
    if language == "zh":
        for pattern, words in _OWN_DETAILS_ZH:
            detail = pattern.sub(words, detail)
    sentence = _SLIDE_ERRORS[code][language]
    if possibly_billed:
        sentence += _MAY_BE_CHARGED[language]
    if not detail:
        return sentence
    return f"{sentence} ({detail})" if language == "en" else f"{sentence}（{detail}）"
