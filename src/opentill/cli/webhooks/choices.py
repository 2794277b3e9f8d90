"""What an owner may choose for an endpoint, as it is typed: `timeout_s=5`, `schedule=60,300` (webhooks.md §4.2)."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from enum import Enum
from pathlib import Path
from typing import Any, Final

from opentill.kernel.errors import Refused
from opentill.webhooks.entrusted import AuthKind, Entrusted
from opentill.webhooks.model import (
    DEFAULTS,
    AmountFormat,
    Condition,
    Options,
    Ordering,
    PayloadStyle,
    Payments,
    SignatureFormat,
)


def _texts(typed: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in typed.split(","))


def _flag(typed: str) -> bool:
    return {"true": True, "false": False}[typed]


def _one_of(kind: type[Enum]) -> Callable[[str], Any]:
    return lambda typed: kind[typed.upper()]


def _conditions(typed: str) -> tuple[Condition, ...]:
    return tuple(Condition(str(one["field"]), str(one["op"]), one["value"]) for one in json.loads(typed))


READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "events": _texts,
    "excepted": _texts,
    "conditions": _conditions,
    "payments": _one_of(Payments),
    "amount_format": _one_of(AmountFormat),
    "signature_format": _one_of(SignatureFormat),
    "payload_style": _one_of(PayloadStyle),
    "standard_headers": _flag,
    "asymmetric": _flag,
    "ordering": _one_of(Ordering),
    "schedule": lambda typed: tuple(map(int, typed.split(","))),
    "timeout_s": int,
    "max_in_flight": int,
    "rate_per_s": float,
    "burst": int,
    "allow_insecure": _flag,
    "ca_bundle": lambda typed: Path(typed).read_text(),
    "notify": _texts,
    "description": str,
}


def chosen(before: Options, typed: Sequence[str]) -> Options:
    """Return options with what was typed, each `name=value`; nothing after the sign is the usual. Raises `Refused`."""
    changes = {}
    for one in typed:
        name, _, value = one.partition("=")
        if name not in READ:
            raise Refused("UNKNOWN_OPTION", f"{name} is no option; there are {', '.join(READ)}")
        try:
            changes[name] = READ[name](value) if value else getattr(DEFAULTS, name)
        except (ValueError, KeyError, TypeError, OSError) as wrong:
            raise Refused("BAD_OPTION", f"{name} cannot be read from {value!r}: {wrong}") from None
    return replace(before, **changes)


def entrusted_in(file: Path) -> Entrusted:
    """Read headers and credentials: `{"headers": {…}, "auth": {"kind": "bearer", "token": "…"}}`. Raises `Refused`."""
    try:
        stored = json.loads(file.read_text())
        auth = dict(stored.get("auth", {}))
        kind = AuthKind(auth.pop("kind")) if auth else None
        headers = tuple((str(name), str(value)) for name, value in stored.get("headers", {}).items())
    except (OSError, ValueError, KeyError, AttributeError, TypeError) as wrong:
        raise Refused("BAD_FILE", f"{file} cannot be read: {wrong}") from None
    return Entrusted(headers, kind, {name: str(value) for name, value in auth.items()})
