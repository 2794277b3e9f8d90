"""Where log lines go: JSON to a file or a pipe, readable lines to a terminal. Ids only, no personal data."""

import logging
import sys
from pathlib import Path
from typing import Any, Final

import orjson
import structlog

from opentill.settings import Settings

STAMP: Final = structlog.processors.TimeStamper("iso", utc=True)


def configure(settings: Settings) -> None:
    """Send log lines of this process where the settings say."""
    processors: list[Any] = [structlog.processors.add_log_level, STAMP]
    if not settings.log_file and sys.stderr.isatty():
        factory: Any = structlog.PrintLoggerFactory(sys.stderr)
        processors.append(structlog.dev.ConsoleRenderer())
    else:
        output: Any = sys.stderr.buffer
        if settings.log_file:
            output = Path(settings.log_file).open("ab", buffering=0)  # noqa: SIM115 - open for the process's life
        factory = structlog.BytesLoggerFactory(output)
        processors = [_as_json]
    structlog.configure(
        processors=processors,
        logger_factory=factory,
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        cache_logger_on_first_use=True,
    )


def _as_json(logger: object, method: str, fields: Any) -> bytes:
    """Return a whole line. In one step: every request writes one, and each step of structlog's is a call more."""
    fields["level"] = method
    fields = STAMP(logger, method, fields)
    if "exc_info" in fields:
        fields = structlog.processors.format_exc_info(logger, method, fields)
    return orjson.dumps(fields, str)
