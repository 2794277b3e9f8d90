"""Which event names each dialect has, and which an endpoint hears of by default (webhooks.md §10)."""

from collections.abc import Iterable, Sequence
from typing import Final

from opentill.webhooks.model import Dialect, Kind

ALL: Final = "*"
TEST_EVENT: Final = "webhook.test"

MERCHANT_EVENTS: Final = (
    "payment.pending",
    "payment.processing",
    "payment.completed",
    "payment.failed",
    "payment.cancelled",
    "payment.expired",
    "refund.created",
    "refund.completed",
    "refund.failed",
    "dispute.created",
    "dispute.resolved",
    "invoice.paid",
    "payment_link.paid",
    "customer.created",
    TEST_EVENT,
)

MERCHANT_ALIASES: Final = {"payment.canceled": "payment.cancelled"}

CALLBACK_EVENTS: Final = frozenset(
    (
        "payment.processing",
        "payment.completed",
        "payment.failed",
        "payment.cancelled",
        "payment.expired",
    )
)

PIX_EVENTS: Final = (
    "pix.charge.created",
    "pix.charge.paid",
    "pix.charge.expired",
    "pix.payout.processing",
    "pix.payout.confirmed",
    "pix.payout.failed",
    "pix.payout.returned",
    "pix.refund.requested",
    "pix.refund.completed",
    "pix.return.received",
    TEST_EVENT,
)

PIX_EXTRA_EVENTS: Final = (
    "pix.charge.cancelled",
    "pix.payout.queued",
    "pix.payout.held",
    "pix.refund.failed",
    "pix.infraction.created",
    "pix.infraction.defense_submitted",
    "pix.infraction.resolved",
)


# What only operational endpoints hear of.
OPERATIONAL_EVENTS: Final = ("endpoint.failing", "endpoint.recovered", "endpoint.disabled", "delivery.dead")


def default_set(dialect: Dialect) -> tuple[str, ...]:
    """Return what an endpoint hears of when its owner named nothing, in the order of the documents."""
    match dialect:
        case Dialect.MERCHANT:
            return MERCHANT_EVENTS
        case Dialect.PIX:
            return PIX_EVENTS
        case Dialect.STANDARD:
            return (*MERCHANT_EVENTS, "payout.processing", "payout.confirmed", "payout.failed",
                    "payout.returned", "return.received")  # fmt: skip


def extra_set(dialect: Dialect) -> tuple[str, ...]:
    """Return what only endpoints that name it get."""
    match dialect:
        case Dialect.MERCHANT:
            return ()
        case Dialect.PIX:
            return PIX_EXTRA_EVENTS
        case Dialect.STANDARD:
            return (
                "charge.created", "charge.paid", "charge.expired", "charge.cancelled",
                "infraction.created", "infraction.defense_submitted", "infraction.resolved",
                "payout.queued", "payout.held",
            )  # fmt: skip


def is_family(name: str) -> bool:
    """Tell whether a name stands for a group: `payment.*`."""
    return name.endswith(".*")


def in_family(event: str, family: str) -> bool:
    return event.startswith(family[:-1])


def offered(dialect: Dialect, *, kind: Kind = Kind.REGISTERED, pix_extra: bool) -> tuple[str, ...]:
    """Return what endpoints may name, in the order of the documents; the extra names of PIX are the operator's to open.

    Operational endpoints hear of endpoints and deliveries, and of nothing else.
    """
    if kind is Kind.OPERATIONAL:
        return OPERATIONAL_EVENTS
    return default_set(dialect) + (extra_set(dialect) if pix_extra or dialect is not Dialect.PIX else ())


def unknown_names(names: Iterable[str], dialect: Dialect, offered: Sequence[str]) -> tuple[str, ...]:
    """Return the names that are not among those offered, and stand for none of them, in the order given."""
    aliases = MERCHANT_ALIASES if dialect is Dialect.MERCHANT else {}

    def known(name: str) -> bool:
        if is_family(name):
            return any(in_family(event, name) for event in offered)
        return name == ALL or name in offered or name in aliases

    return tuple(name for name in names if not known(name))
