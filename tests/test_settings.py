"""Settings: names, precedence, and what is refused."""

from pathlib import Path

import pytest

from slideloom.errors import SettingsError
from slideloom.settings import RequestQuota, Settings, load_settings, trace_settings
from slideloom.settings.sources import _mask


def test_defaults_are_the_contracts() -> None:
    settings, warnings = load_settings({})
    assert settings == Settings()
    assert warnings == []
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.image_base == "https://openrouter.ai/api/v1"


def test_command_line_beats_environment_beats_env_file_beats_default(tmp_path: Path) -> None:
    env_file = tmp_path / ".env"
    env_file.write_text("PORT=1\nHOST=file\nLOG_DIR='from file'\n")
    settings, _ = load_settings(
        {"PORT": "2", "HOST": "environ"},
        env_file=env_file,
        overrides={"PORT": "3", "HOST": None},
    )
    assert (settings.port, settings.host, settings.log_dir) == (3, "environ", "from file")
    assert settings.data_dir == "data"


def test_empty_value_means_not_set() -> None:
    assert load_settings({"PORT": "", "LLM_API_KEY": " "})[0] == Settings()


def test_image_names_win_over_general_ones() -> None:
    settings, _ = load_settings(
        {
            "LLM_API_KEY": "a",
            "LLM_IMAGE_API_KEY": "b",
            "LLM_API_BASE": "https://one/v1",
            "LLM_IMAGE_API_BASE": "https://two/v1/",
        }
    )
    assert (settings.image_keys, settings.image_base) == (("b",), "https://two/v1")
    assert set(settings.secrets) == {"a", "b"}


def test_old_name_of_the_slide_timeout_works_and_the_new_one_wins() -> None:
    assert load_settings({"LLM_TIMEOUT_SECONDS": "60"})[0].slide_timeout_seconds == 60
    both = {"LLM_TIMEOUT_SECONDS": "60", "SLIDE_TIMEOUT_SECONDS": "90"}
    assert load_settings(both)[0].slide_timeout_seconds == 90


@pytest.mark.parametrize(
    "text", ["http://a,http://b", '["http://a", "http://b"]', " http://a , HTTP://B "]
)
def test_origins_come_as_comma_list_or_json(text: str) -> None:
    assert load_settings({"ALLOWED_ORIGINS": text})[0].origins == ["http://a", "http://b"]


def test_origins_have_ports_addresses_and_other_schemes() -> None:
    text = "http://localhost:3000,http://[::1]:3000,chrome-extension://abc"
    assert load_settings({"ALLOWED_ORIGINS": text})[0].origins == text.split(",")


def test_misspelt_names_are_warned_about_with_the_nearest() -> None:
    _, warnings = load_settings({"BATCH_MAX_WORKER": "3", "LLM_API_KAY": "x", "OTHER": "y"})
    assert warnings == [
        "unknown setting BATCH_MAX_WORKER; did you mean BATCH_MAX_WORKERS?",
        "unknown setting LLM_API_KAY; did you mean LLM_API_KEY?",
    ]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"PORT": "eighty"}, "PORT='eighty'"),
        ({"BATCH_MAX_WORKERS": "0"}, "BATCH_MAX_WORKERS='0'"),
        ({"LLM_IMAGE_API": "telepathy"}, "must be auto, images, chat, gemini or local"),
        ({"LLM_API_KEY": "k\nx"}, "line break"),
        ({"ASPECT_FIX": "CROP"}, "must be off, crop or pad"),
        ({"MAX_COST_USD": "five"}, "must be a number"),
        ({"MAX_COST_USD": "inf"}, "leave it empty"),
        ({"LANE_START": "0"}, "must be >= 1"),
        ({"LLM_IMAGE_API": "chat"}, "needs LLM_IMAGE_API_KEY"),
        ({"LLM_API_BASE": "openrouter.ai"}, "not a URL"),
        ({"ALLOWED_ORIGINS": "*"}, "must list names"),
        ({"ALLOWED_ORIGINS": "[x"}, "neither a comma list"),
        ({"ALLOWED_ORIGINS": "null"}, "is not an origin like"),
        ({"ALLOWED_ORIGINS": "https://a.example/"}, "is not an origin like"),
        ({"ALLOWED_ORIGINS": "a.example"}, "is not an origin like"),
        ({"ALLOWED_ORIGINS": "https://*.a.example"}, "is not an origin like"),
        ({"API_PREFIX": "api/"}, "API_PREFIX"),
        ({"API_PREFIX": "/assets"}, "API_PREFIX"),
        ({"API_PREFIX": "/.."}, "API_PREFIX"),
        ({"LLM_API_BASE": "http://[::1"}, "not a URL"),
        ({"LOG_RETENTION_DAYS": "9999999999"}, "LOG_RETENTION_DAYS"),
        ({"STORE": "redis://x"}, "STORE and QUEUE go together"),
        ({"QUEUE": "redis://x"}, "STORE and QUEUE go together"),
        ({"STORE": "redis://x", "QUEUE": "amqp://x"}, "QUEUE must be an address like redis://"),
        ({"STORE": "redis://x", "QUEUE": "unix://"}, "QUEUE must be an address like redis://"),
        ({"STORE": "redis://:p/w@x", "QUEUE": "redis://x"}, "in the password, / is written %2F"),
        ({"STORE": "redis://:@:/#@x", "QUEUE": "redis://x"}, "STORE must be an address"),
        ({"STORE": "redis://x/0x", "QUEUE": "redis://x"}, "STORE must be an address"),
        ({"IMAGE_STORE": "gs://bucket"}, "must be like s3://bucket"),
        ({"IMAGE_STORE": "s3://"}, "must be like s3://bucket"),
        ({"IMAGE_STORE": "s3://Bucket"}, "must be like s3://bucket"),
        ({"IMAGE_STORE": "s3://bucket/../x"}, "must be like s3://bucket"),
        ({"IMAGE_STORE": "s3://bucket/a b"}, "must be like s3://bucket"),
        ({"IMAGE_STORE": "s3://bucket", "AWS_ENDPOINT_URL": "minio:9000"}, "not a URL"),
        ({"IMAGE_STORE": "s3://bucket", "AWS_ACCESS_KEY_ID": "a"}, "both, or neither"),
        ({"API_TOKENS": "secret"}, "must be name:secret pairs"),
        ({"API_TOKENS": "a:"}, "must be name:secret pairs"),
        ({"API_TOKENS": "ä:secret"}, "must be name:secret pairs"),
        ({"API_TOKENS": "a:se cret"}, "must be name:secret pairs"),
        ({"API_TOKENS": ","}, "holds no token"),
        ({"API_TOKENS": "a:s,a:t"}, "twice"),
        ({"API_TOKENS": "a:s,b:s"}, "twice"),
        ({"RATE_LIMIT": "many"}, "RATE_LIMIT='many' is not like 600/minute"),
        ({"RATE_LIMIT": "0/minute"}, "is not like 600/minute"),
        ({"RATE_LIMIT": "5/week"}, "is not like 600/minute"),
        ({"MAX_COST_PER_DAY": "nan"}, "MAX_COST_PER_DAY"),
        ({"MAX_COST_PER_DAY": "-1"}, "MAX_COST_PER_DAY='-1': must be >= 0"),
        ({"ALLOWED_HOSTS": "*"}, "must list names"),
        ({"ALLOWED_HOSTS": "http://x"}, "is not a name like"),
        ({"ALLOWED_HOSTS": "[1"}, "neither a comma list nor a JSON list"),
    ],
)
def test_wrong_setting_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=words):
        load_settings(environ)


@pytest.mark.parametrize(
    "address",
    [
        "redis://h",
        "redis://h/",
        "rediss://me:p%2Fw@h:1/12",
        "redis://[::1]:1/0?x=1",
        "unix:///s.sock",
    ],
)
def test_address_of_redis_is_taken(address: str) -> None:
    settings, _ = load_settings({"STORE": address, "QUEUE": address})
    assert (settings.store, settings.queue) == (address, address)


def test_tokens_are_secrets_and_weak_ones_are_told() -> None:
    settings, warnings = load_settings({"API_TOKENS": " a:0123456789abcdef , b:short:er"})
    assert settings.tokens == {"a": "0123456789abcdef", "b": "short:er"}
    assert {"0123456789abcdef", "short:er"} <= set(settings.secrets)
    assert [text for text in warnings if "0123" in text or "short" in text] == []
    assert [text for text in warnings if "API_TOKENS' b " in text] == warnings


def test_error_about_tokens_repeats_none() -> None:
    with pytest.raises(SettingsError) as wrong:
        load_settings({"API_TOKENS": "a:good-secret,b good-other"})
    assert "good" not in str(wrong.value)


@pytest.mark.parametrize(
    ("text", "quota"),
    [
        ("600/minute", RequestQuota(600, 60)),
        ("5 / second", RequestQuota(5, 1)),
        ("7/day", RequestQuota(7, 86_400)),
        ("0", None),
    ],
)
def test_rate_limit_is_so_many_in_so_long(text: str, quota: RequestQuota | None) -> None:
    assert load_settings({"RATE_LIMIT": text})[0].request_quota == quota


@pytest.mark.parametrize(
    ("host", "is_exposed"),
    [
        ("127.0.0.1", False),
        ("127.9.9.9", False),
        ("::1", False),
        ("localhost", False),
        ("0.0.0.0", True),  # noqa: S104 - nothing is bound
        ("::", True),
        ("192.168.1.5", True),
        ("my.host", True),
    ],
)
def test_what_is_reached_from_elsewhere_is_exposed(host: str, *, is_exposed: bool) -> None:
    assert load_settings({"HOST": host})[0].is_exposed is is_exposed


def test_env_file_that_is_no_utf8_is_named(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes("LOG_DIR=日志".encode("gbk"))
    with pytest.raises(SettingsError, match="save it as UTF-8"):
        load_settings({}, env_file=tmp_path / ".env")


@pytest.mark.parametrize("text", ["s3://bucket", "s3://my.bucket-1/", "s3://bucket/a/b_c.d"])
def test_image_store_is_a_bucket_and_maybe_a_prefix(text: str) -> None:
    assert load_settings({"IMAGE_STORE": text})[0].image_store == text


def test_object_storage_has_the_names_that_others_use() -> None:
    theirs = {"AWS_ENDPOINT": "http://minio:9000", "AWS_DEFAULT_REGION": "eu-west-1"}
    settings, warnings = load_settings(theirs)
    assert (settings.aws_endpoint_url, settings.aws_region, warnings) == (*theirs.values(), [])


def test_key_in_the_address_of_the_object_storage_is_not_repeated() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({"IMAGE_STORE": "s3://id:sk-canary@bucket"})
    assert "canary" not in str(refusal.value)


def test_keys_of_the_object_storage_are_secrets() -> None:
    environ = {name: f"canary-{name}" for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")}
    assert set(environ.values()) <= set(load_settings(environ)[0].secrets)
    assert "canary" not in str(trace_settings(environ))


def test_key_is_not_in_the_message_about_another_setting() -> None:
    with pytest.raises(SettingsError) as refusal:
        load_settings({"LLM_API_KEY": "sk-canary", "PORT": "x"})
    assert "canary" not in str(refusal.value)


def test_names_of_tokens_are_shown_and_short_secrets_not_at_all() -> None:
    tokens = "administrator:pw12, bob:0123456789abcdef"
    assert _mask("API_TOKENS", tokens) == "administrator:••••,bob:••••cdef"


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("redis://:secret@h:6379/0", "redis://••••@h:6379/0"),
        ("redis://me:se/cr?e#t@h/0", "redis://••••@h/0"),  # not as an address should have it
        ("redis://h/0", "redis://h/0"),
    ],
)
def test_password_of_an_address_is_never_shown(address: str, shown: str) -> None:
    assert _mask("STORE", address) == shown
