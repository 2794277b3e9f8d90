"""Operators, what they may do, how they are signed in, and what the audit log says about a change."""

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
    has_factor: bool = False

    @property
    def actor(self) -> str:
        """Return the name the audit log knows them by."""
        return f"operator:{self.id}"


@dataclass(frozen=True, slots=True)
class Grant:
    """A role with what it allows, at one merchant, or where *merchant_id* is None at all of them."""

    merchant_id: int | None
    role: str
    permissions: frozenset[str]


@dataclass(frozen=True, slots=True)
class SignedIn:
    """An operator at work: one session, with everything it may do."""

    session_id: int
    public_id: str
    operator: Operator
    grants: tuple[Grant, ...]
    confirmed_at: Instant

    def may(self, permission: str, merchant_id: int | None = None) -> bool:
        """Tell whether the operator has a permission at a merchant; without one, in the installation itself."""
        return any(
            permission in grant.permissions
            for grant in self.grants
            if grant.merchant_id is None or grant.merchant_id == merchant_id
        )

    @property
    def everywhere(self) -> bool:
        """Tell whether some role is for every merchant."""
        return any(grant.merchant_id is None for grant in self.grants)

    @property
    def merchant_ids(self) -> frozenset[int]:
        """Return the merchants with a role of their own."""
        return frozenset(grant.merchant_id for grant in self.grants if grant.merchant_id is not None)


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the audit log: who did what to what, from where and why. *detail* holds no secrets."""

    actor: str  # operator:<id>, key:<prefix>, or console
    origin: str  # an address, or 'command line'
    action: str
    subject: str
    detail: Mapping[str, object] = field(default_factory=dict)
    reason: str = ""
    merchant_id: int | None = None  # whose settings or money it touched
