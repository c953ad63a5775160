"""The settings, as the parts take them; who is told of what happens."""

from collections.abc import Mapping
from pathlib import Path

from slideloom.engine.allowance import Allowance
from slideloom.engine.retry import RetryPolicy
from slideloom.engine.reuse import Results
from slideloom.engine.runs import EngineLimits
from slideloom.engine.slide import SlideRules
from slideloom.errors import SettingsError
from slideloom.logs import Log, LogWriter, name_process
from slideloom.settings import Settings
from slideloom.stores.base import ResultCache, SpendingBook
from slideloom.stores.image_base import ImageStore
from slideloom.tracing import Tracer

_HOUR_S = 3600.0
_OTEL_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")


def open_log_writer(settings: Settings, role: str) -> LogWriter:
    """What writes the log files; with STORE, those of a process beside others.

    Raises:
        SettingsError: LOG_DIR cannot be written.
    """
    try:
        return LogWriter(
            Path(settings.log_dir),
            retention_days=settings.log_retention_days,
            secrets=settings.secrets,
            process=name_process(role) if settings.store else "",
        )
    except OSError as error:
        message = f"LOG_DIR={settings.log_dir} cannot be written: {error.strerror}"
        raise SettingsError(message) from error


def to_results(settings: Settings, cache: ResultCache, images: ImageStore, log: Log) -> Results:
    """Results to be used again, as long as the settings say."""
    return Results(
        cache,
        images,
        source=settings.image_base,
        finish=settings.aspect_fix,
        ttl_s=settings.cache_ttl_hours * _HOUR_S,
        log=log,
    )


def to_allowance(settings: Settings, book: SpendingBook, log: Log) -> Allowance | None:
    """The limit a day; `None`: none."""
    limit_usd = settings.max_cost_per_day
    return None if limit_usd is None else Allowance(book, limit_usd=limit_usd, log=log)


def to_rules(settings: Settings) -> SlideRules:
    """How slides are made."""
    return SlideRules(
        retry=RetryPolicy(
            retry_no_image=settings.retry_no_image, backoff_base_s=settings.backoff_base_seconds
        ),
        slide_timeout_s=settings.slide_timeout_seconds,
        aspect_fix=settings.aspect_fix,
    )


def to_limits(settings: Settings) -> EngineLimits:
    """How batches are run."""
    return EngineLimits(
        slide_timeout_s=settings.slide_timeout_seconds,
        batch_timeout_s=settings.batch_timeout_seconds,
        single_workers=settings.batch_max_workers,
        keep_finished_s=settings.batch_cleanup_hours * _HOUR_S,
        keep_pictures_s=settings.image_retention_days * 24 * _HOUR_S,
        resume_in_flight=settings.resume_in_flight,
    )


def open_tracer(environ: Mapping[str, str]) -> tuple[Tracer, tuple[str, ...]]:
    """Who is told of spans, as OpenTelemetry's own variables say; what is to be warned of."""
    is_off = environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
    name = next((name for name in _OTEL_ENDPOINTS if environ.get(name)), None)
    if name is None or is_off:
        return Tracer(), ()
    try:
        from slideloom.otel import open_exporting  # noqa: PLC0415 - an extra
    except ModuleNotFoundError as error:
        doubt = f"{name} is set, but {error.name} is missing: no spans; install slideloom[otel]."
        return Tracer(), (doubt,)
    return open_exporting(), ()
