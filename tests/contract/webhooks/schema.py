"""Validation of bodies against the published schema bundle (webhooks.md appendix A)."""

from collections.abc import Iterable, Mapping
from typing import Any

from opentill.webhooks import schema

EMITTED = """
    select distinct d.wire_type, d.variant, p.event_seq, p.body
      from webhook_payload p
      join webhook_delivery d on d.event_seq = p.event_seq and d.variant = p.variant
"""


def errors_in(body: bytes, definition: str) -> list[str]:
    """Return what the definition objects to in a body."""
    dialect, _, event = definition.partition(":")
    return schema.faults_in(body, dialect, event)


def wrong_bodies(rows: Iterable[Mapping[str, Any]]) -> dict[str, list[str]]:
    """Return what is wrong with the bodies a database holds, by variant and event. *rows* answer `EMITTED`."""
    found = {}
    for row in rows:
        faults = schema.faults_in(bytes(row["body"]), row["variant"], row["wire_type"])
        if faults:
            found[f"{row['variant']} {row['wire_type']}"] = faults
    return found
