"""Operators, and what the audit log says about a change."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from opentill.kernel.clock import Instant


@dataclass(frozen=True, slots=True)
class Operator:
    """A person who may sign in. The password is known only as an Argon2id hash, which never leaves the store."""

    id: int
    email: str
    name: str
    status: Literal["active", "disabled"]
    created_at: Instant


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit log: who did what to what, from where. *detail* holds no secrets."""

    actor: str  # operator:<id>, or console
    origin: str  # an address, or 'command line'
    action: str
    subject: str
    detail: Mapping[str, object] = field(default_factory=dict)
