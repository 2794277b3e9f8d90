"""What operators may do: the permissions, and the roles that come with OpenTill (merchant-api.md §17.2).

A permission is `<area>.view`, `<area>.manage`, or one of a few single ones. Areas of the installation itself count
only in a role for every merchant.
"""

from collections.abc import Mapping
from typing import Final

AREAS: Final = (
    "payments", "review", "refunds", "disputes", "links", "invoices", "customers", "payouts", "gateways", "fees",
    "currencies", "ledger", "reports", "merchants", "domains", "appearance", "developers", "operators", "settings",
    "system", "audit",
)  # fmt: skip
SINGLE: Final = (
    "payments.mark_paid",
    "payments.override",
    "refunds.create",
    "payouts.approve",
    "review.decide",
    "proofs.view",
    "secrets.reveal",
    "customers.erase",
)
ALL: Final = frozenset({f"{area}.{verb}" for area in AREAS for verb in ("view", "manage")} | set(SINGLE))


def _both(*areas: str) -> set[str]:
    return {f"{area}.{verb}" for area in areas for verb in ("view", "manage")}


def _view(*areas: str) -> set[str]:
    return {f"{area}.view" for area in areas}


ROLES: Final[Mapping[str, frozenset[str]]] = {
    "owner": ALL,
    "admin": ALL - _both("system", "settings"),
    "finance": frozenset(
        _both("payments", "review", "refunds", "disputes", "payouts", "ledger", "reports", "fees", "invoices")
        | _view("customers", "gateways", "links", "audit", "merchants", "currencies")
        | {"review.decide", "refunds.create", "payments.mark_paid", "payouts.approve", "proofs.view"}
    ),
    "support": frozenset(
        _view("payments", "refunds", "disputes", "merchants") | _both("review", "links", "invoices", "customers")
    ),
    "developer": frozenset(_both("developers") | _view("payments", "merchants", "gateways")),
    "read-only": frozenset(_view(*AREAS)),
}
OWNER: Final = "owner"
