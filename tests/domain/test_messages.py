"""Our own details are told in the reader's language; a provider's words stay as they are."""

import pytest

from slideloom.domain.messages import slide_error_message
from slideloom.errors import SlideErrorCode


@pytest.mark.parametrize(
    ("code", "detail", "words"),
    [
        (
            "upstream_unavailable",
            "cannot connect to a.b:9: connection refused",
            "无法连接 a.b:9：连接被拒绝",
        ),
        ("upstream_unavailable", "no such host: a.b", "找不到主机 a.b"),
        ("storage_full", "7 MB free, 64 MB wanted", "剩 7 MB，需 64 MB"),
        ("timeout", "no picture within 120 s", "120 秒内没有图片"),
        (
            "budget_exceeded",
            "$0.112 of $0.300 left, $0.240 needed",
            "预算 0.300 美元，剩 0.112，需 0.240",
        ),
        ("content_blocked", "IMAGE_SAFETY", "IMAGE_SAFETY"),
    ],
)
def test_detail_is_told_in_chinese(code: SlideErrorCode, detail: str, words: str) -> None:
    message = slide_error_message(code, detail, "zh", possibly_billed=False)
    assert message.endswith(f"（{words}）")
    assert detail in slide_error_message(code, detail, "en", possibly_billed=False)
