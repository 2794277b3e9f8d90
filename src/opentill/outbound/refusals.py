"""Why something was not sent, in words: one text for the operator, one for the merchant (webhooks.md §7.5)."""

from dataclasses import dataclass
from typing import Final

from opentill.outbound.addresses import Row
from opentill.outbound.outcomes import Outcome

SETTING: Final = "`webhooks.allow`"
BY_SETTING: Final = f"The operator can allow it: {SETTING}."


@dataclass(frozen=True, slots=True)
class Refusal:
    """A refusal of the guard.

    *for_merchant* is a sentence without the address, with the rule and what would help; *address* is for the
    operator's eyes only.
    """

    outcome: Outcome
    rule: str
    host: str
    for_merchant: str
    address: str | None = None

    @property
    def for_operator(self) -> str:
        """Return a sentence with name, address and rule, for the log of the installation."""
        if self.address is None:
            return f"{self.host or 'The URL'} is refused by the rule: {self.rule}."
        verb = "is" if self.address == self.host else "resolves to"
        return f"{self.host} {verb} {self.address}, refused by the rule: {self.rule}."


def refused_url(rule: str, host: str = "") -> Refusal:
    """Refuse a URL for what is written in it."""
    return Refusal(Outcome.BLOCKED_URL, rule, host, f"The URL is not allowed: {rule}.")


def refused_name(rule: str, host: str) -> Refusal:
    """Refuse a host name that only an allow list can open."""
    return Refusal(Outcome.BLOCKED_URL, rule, host, f"{host} is a {rule}. {BY_SETTING}")


def refused_address(row: Row, host: str, address: str) -> Refusal:
    """Refuse what a host name resolves to, or an address written as the host."""
    verb = "is" if address == host else "resolves to"
    network = "" if row.is_one_address else f" ({row.name})"
    help_ = BY_SETTING if row.openable else f"Not even {SETTING} can open it."
    return Refusal(Outcome.BLOCKED_ADDRESS, row.rule, host, f"{host} {verb} {row.what}{network}. {help_}", address)


def refused_own(host: str, address: str | None = None) -> Refusal:
    """Refuse an address or name of this installation itself."""
    text = f"{host} leads back to this installation. {BY_SETTING}"
    return Refusal(Outcome.OWN_ADDRESS, "own address", host, text, address)
