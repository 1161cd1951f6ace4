"""How a process reports: log lines (JSON, or for people on a terminal) and CloudWatch metrics inside them."""

import logging
import sys
import time
from collections.abc import Mapping
from typing import Literal

import structlog

from shared.settings import METRIC_NAMESPACE, LogFormat

Unit = Literal["Count", "Seconds", "Megabytes"]


def configure(log_format: LogFormat | None, metric_namespace: str = METRIC_NAMESPACE) -> LogFormat:
    """Send our log lines and those of libraries (warnings and worse) to stderr; the format that was chosen.

    Metrics go to ``metric_namespace``: deployments that share one would answer for each other's alarms.
    """
    chosen = log_format or ("console" if sys.stderr.isatty() else "json")
    shared_steps: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared_steps, _placing(metric_namespace), structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared_steps,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *_rendering(chosen)],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    logging.getLogger("dpss").setLevel(logging.INFO)
    return chosen


def _rendering(chosen: LogFormat) -> list[structlog.typing.Processor]:
    if chosen == "json":
        return [structlog.processors.format_exc_info, structlog.processors.JSONRenderer()]
    return [_without_metrics, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]


def _placing(namespace: str) -> structlog.typing.Processor:
    def place(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        for definition in event.get("_aws", {}).get("CloudWatchMetrics", ()):
            definition["Namespace"] = namespace
        return event

    return place


def _without_metrics(_logger: object, _method: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """A person at a terminal reads the values, not the wrapping that CloudWatch needs."""
    event.pop("_aws", None)
    return event


def logger(room: str) -> structlog.stdlib.BoundLogger:
    """The logger of one room."""
    log: structlog.stdlib.BoundLogger = structlog.get_logger(f"dpss.{room}")
    return log


def metrics(values: Mapping[str, tuple[float, Unit]], **dimensions: str) -> None:
    """One log line that CloudWatch turns into metrics.

    https://docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html
    """
    definition = {
        "Dimensions": [sorted(dimensions)],
        "Metrics": [{"Name": name, "Unit": unit} for name, (_, unit) in values.items()],
    }
    logger("metrics").info(
        "metrics",
        _aws={"Timestamp": int(time.time() * 1_000), "CloudWatchMetrics": [definition]},
        **dimensions,
        **{name: value for name, (value, _) in values.items()},
    )
