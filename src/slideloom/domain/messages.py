"""What people are told when a slide fails, in both languages."""

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
        "en": "The image provider refused the API key."
        " Check LLM_IMAGE_API_KEY, then make the slide again.",
        "zh": "图片服务商拒绝了 API 密钥。请检查 LLM_IMAGE_API_KEY 后重新生成这一页。",
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
        "en": "The image provider does not take this request. Check the model and the settings.",
        "zh": "图片服务商不接受这个请求。请检查模型与设置。",
    },
    "upstream_unavailable": {
        "en": "The image provider could not be reached or failed. Make the slide again later.",
        "zh": "图片服务商无法连接或出错。请稍后重新生成这一页。",
    },
    "timeout": {
        "en": "The image provider did not deliver the picture in time. It may have been charged.",
        "zh": "图片服务商没有在时限内给出图片，这次调用可能已经计费。",
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
        "en": "The batch was cancelled before this slide was made.",
        "zh": "任务已取消，这一页没有生成。",
    },
    "budget_exceeded": {
        "en": "The batch's budget is used up. Raise it, then make the slide again.",
        "zh": "这套幻灯片的预算已用完。请提高预算后重新生成这一页。",
    },
    "storage_full": {
        "en": "There is no room to keep the picture. Free disk space, then make the slide again.",
        "zh": "磁盘空间不足或不可写，图片无法保存。请清理磁盘后重新生成这一页。",
    },
    "blocked_url": {
        "en": "The image provider gave an address that is not public https; it was not opened.",
        "zh": "图片服务商给出的地址不是公网 https 地址，没有打开。",
    },
    "internal": {
        "en": "Something in this service failed; its log has the details. Make the slide again.",
        "zh": "服务内部出错，详情见日志。请重新生成这一页。",
    },
}


def slide_error_message(code: SlideErrorCode, detail: str, language: Language) -> str:
    """What failed and what to do, with the provider's own words behind it."""
    sentence = _SLIDE_ERRORS[code][language]
    if not detail:
        return sentence
    return f"{sentence} ({detail})" if language == "en" else f"{sentence}（{detail}）"
