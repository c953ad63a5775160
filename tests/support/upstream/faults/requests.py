"""Requests the provider will not take as they are, and the many forms of an error body."""

from typing import Any, Final

from tests.support.upstream.envelopes import (
    bad_request_error,
    google_error,
    html_page,
    openai_error,
    openrouter_error,
    plain_error,
)
from tests.support.upstream.faults.base import (
    UNBILLED,
    UNTIL_DEADLINE,
    refused,
    says,
    says_plainly,
)
from tests.support.upstream.faults.rates import limited, retry_info
from tests.support.upstream.scripts import Case, give_up, refuse, succeed
from tests.support.upstream.steps import Script


def _modalities(case: Case) -> Script:
    if "text" not in (case.ask.body.get("modalities") or ["text"]):
        return succeed(case)
    return refuse(404, no_endpoints(str(case.ask.model)))


def no_endpoints(model: str) -> dict[str, Any]:
    """OpenRouter's answer when a model cannot give what `modalities` asks for."""
    return openrouter_error(
        404,
        "No endpoints found that support the requested output modalities: image, text",
        metadata={
            "routing_funnel": [
                {"step": "model", "endpoint_count": 1},
                {"step": "modalities", "endpoint_count": 0},
            ],
            "failed_routing_step": "modalities",
            "model": model,
        },
    )


def _unknown_parameter(case: Case) -> Script:
    name = case.argument or "response_format"
    if name not in case.ask.body:
        return succeed(case)
    return refuse(
        400,
        openai_error(f"Unknown parameter: '{name}'.", "invalid_request_error", "unknown_parameter"),
    )


def _text_too(case: Case) -> Script:
    config = case.ask.body.get("generationConfig") or {}
    if config.get("responseModalities") != ["IMAGE"]:
        return succeed(case)
    message = (
        "The requested combination of response modalities (IMAGE) is not supported by the model."
        f" models/{case.ask.model} accepts the following combination of response modalities:\n"
        "* IMAGE, TEXT\n"
    )
    return refuse(400, google_error(400, message))


def _unknown_name(case: Case) -> Script:
    """Google's proto parser meets a name it does not know."""
    name = case.argument or "imageSize"
    config = case.ask.body.get("generationConfig") or {}
    where = "generation_config"
    if name not in config:
        config, where = config.get("imageConfig") or {}, f"{where}.image_config"
    if name not in config:
        return succeed(case)
    said = f"Invalid JSON payload received. Unknown name \"{name}\" at '{where}': "
    return refuse(400, bad_request_error("google", f"{said}Cannot find field.", field=where))


def _not_enabled(case: Case) -> Script:
    config = (case.ask.body.get("generationConfig") or {}).get("imageConfig") or {}
    if "aspectRatio" not in config:
        return succeed(case)
    return refuse(400, google_error(400, "Aspect ratio is not enabled for this model"))


REQUEST_FAULTS: Final = (
    refused(
        "F22_text_too",
        "400 while responseModalities is IMAGE alone, then a good answer",
        _text_too,
        shapes=("gemini",),
        wanted=None,
        calls=2,
        billed=True,
    ),
    refused(
        "F23_google_model",
        "404, Google knows no such model",
        lambda case: refuse(
            404, google_error(404, f"models/{case.ask.model} is not found for API version v1beta")
        ),
        shapes=("gemini",),
    ),
    refused(
        "F24_unknown_name",
        "400, Google finds no such field while the request has it, else a good answer",
        _unknown_name,
        shapes=("gemini",),
        wanted=None,
        calls=2,
        billed=True,
        argument="the field, default imageSize",
    ),
    refused(
        "F24_no_ratio",
        "400 while the request has an aspectRatio, then a good answer of any ratio",
        _not_enabled,
        shapes=("gemini",),
        wanted=None,
        calls=2,
        billed=True,
        ratio_ok=False,
    ),
    refused(
        "F24_google_always",
        "400 INVALID_ARGUMENT, whatever is asked",
        says(400, google_error(400, "Request contains an invalid argument.")),
        shapes=("gemini",),
    ),
    refused(
        "F32_google_image",
        "400, the reference picture is none",
        says(400, google_error(400, "Provided image is not valid.")),
        shapes=("gemini",),
    ),
    refused(
        "F31_google_location",
        "400 FAILED_PRECONDITION: not in this country",
        says(
            400,
            {
                "error": {
                    "code": 400,
                    "message": "User location is not supported for the API use.",
                    "status": "FAILED_PRECONDITION",
                }
            },
        ),
        shapes=("gemini",),
    ),
    refused(
        "F22_modalities",
        "404 while modalities has text, then a good answer",
        _modalities,
        shapes=("chat",),
        wanted=None,
        calls=2,
        billed=True,
    ),
    refused(
        "F22_no_endpoints",
        "404 No endpoints found, always",
        lambda case: refuse(404, no_endpoints(case.ask.model)),
        mends=("chat",),
    ),
    refused(
        "F23_404_html",
        "404 page",
        lambda _: refuse(404, html_page(404, "Not Found"), media_type="text/html"),
        mends=("images",),
    ),
    refused(
        "F23_404_plain",
        "404, plain text",
        lambda _: refuse(404, b"404 page not found\n", media_type="text/plain"),
        mends=("images",),
    ),
    refused(
        "F23_405",
        "405, JSON",
        says(405, {"detail": "Method Not Allowed"}, (("Allow", "GET"),)),
        mends=("images",),
    ),
    refused(
        "F24_unknown_parameter",
        "400 unknown_parameter while the body has it, else a good answer",
        _unknown_parameter,
        shapes=("images",),
        wanted=None,
        calls=2,
        billed=True,
        argument="the parameter, default response_format",
    ),
    refused(
        "F24_always",
        "400 unknown_parameter, always",
        says(
            400,
            openai_error("Unknown parameter: 'x'.", "invalid_request_error", "unknown_parameter"),
        ),
    ),
    refused("F32_413", "413 JSON", says_plainly(413, "Request body too large")),
    refused(
        "F32_413_html",
        "413 of nginx, HTML",
        lambda _: refuse(
            413, html_page(413, "Request Entity Too Large", server="nginx"), media_type="text/html"
        ),
    ),
    refused(
        "F32_image_download_failed",
        "400, a reference picture's address did not answer",
        says(
            400,
            openrouter_error(
                400, "Provider returned error", metadata={"error_type": "image_download_failed"}
            ),
        ),
    ),
    refused(
        "F31_plain_string", "400, error is a plain string", says(400, {"error": "invalid model id"})
    ),
    refused(
        "F31_code_string",
        "400, error.code is a string",
        says(400, openrouter_error("invalid_request", "bad")),
    ),
    refused("F31_code_null", "400, error.code is null", says(400, openrouter_error(None, "bad"))),
    refused("F31_detail_string", "422, FastAPI detail", says(422, {"detail": "prompt too long"})),
    refused(
        "F31_detail_list",
        "422, FastAPI detail list",
        says(
            422, {"detail": [{"loc": ["body", "size"], "msg": "bad size", "type": "value_error"}]}
        ),
    ),
    refused("F31_empty_body", "400 without a body", says(400, b"")),
    refused("F31_not_json", "400, declared JSON but none", says(400, b"upstream connect error")),
    refused("F31_json_number", "400, the body is the number 42", says(400, 42)),
    refused(
        "F31_latin1",
        "400, the body is not UTF-8",
        says(400, b'{"error":{"code":400,"message":"caf\xe9"}}'),
    ),
    refused(
        "F31_raw_metadata",
        "400 with the upstream's own JSON as a string in metadata.raw",
        says(
            400,
            openrouter_error(
                400,
                "Provider returned error",
                metadata={
                    "raw": '{"error":{"message":"prompt is too long"}}',
                    "provider_name": "OpenAI",
                },
            ),
        ),
    ),
    refused(
        "F31_array_wrapper",
        "429, Google's error in a one-element array, with RetryInfo",
        limited(lambda _, s: ([retry_info(f"{s:g}s")], ())),
        wanted="rate_limited",
        calls=UNTIL_DEADLINE,
        argument="seconds to wait",
    ),
    refused(
        "F31_500_empty",
        "500 without a body",
        lambda _: give_up(500, b""),
        wanted="upstream_unavailable",
        calls=UNBILLED,
    ),
    refused(
        "F31_408",
        "408 Operation timed out; the policy's table names no 408, so it is an other 4xx",
        lambda case: give_up(408, plain_error(case.ask.dialect, 408, "Operation timed out")),
        also=("upstream_unavailable",),
    ),
)
