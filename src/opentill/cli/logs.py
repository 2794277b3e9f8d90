"""Where log lines go: JSON to a file or a pipe, readable lines to a terminal. Ids only, no personal data."""

import logging
import sys
from pathlib import Path
from typing import Any

import orjson
import structlog

from opentill.settings import Settings


def configure(settings: Settings) -> None:
    """Send log lines of this process where the settings say."""
    processors: list[Any] = [
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    if not settings.log_file and sys.stderr.isatty():
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
        processors[-1:] = [structlog.dev.ConsoleRenderer()]
    else:
        output: Any = sys.stderr.buffer
        if settings.log_file:
            output = Path(settings.log_file).open("ab", buffering=0)  # noqa: SIM115 - open for the process's life
        factory = structlog.BytesLoggerFactory(output)
        processors.append(_as_json)
    structlog.configure(
        processors=processors,
        logger_factory=factory,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )


def _as_json(_logger: object, _method: str, fields: Any) -> bytes:
    return orjson.dumps(fields, str)
