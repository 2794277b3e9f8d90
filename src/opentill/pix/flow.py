"""Trying a bank account out: whether the bank lets us in, and does what we will ask of it."""

from collections.abc import Awaitable, Sequence
from dataclasses import dataclass

from opentill.db import Database
from opentill.kernel.clock import HOUR, SECOND, Clock, Instant
from opentill.kernel.errors import Refused
from opentill.kernel.secret import Keyring
from opentill.pix import service
from opentill.pix.banks import Banks
from opentill.pix.model import Account
from opentill.pix.port import CallFailed
from opentill.pix.providers.certificates import days_left


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was tried: its name, whether it went well, and what the bank said or is missing."""

    name: str
    fine: bool
    detail: str = ""


async def probe(banks: Banks, account: Account, *, clock: Clock) -> Sequence[Finding]:
    """Try an account's authorisation, its lists and its balance. Nothing is changed at the bank."""
    now = clock.now()
    receiver, payer = banks.receiver(account), banks.payer(account)
    health = await banks.health(account)
    findings = [Finding("authorisation", health.trouble is None, health.trouble or "")]
    if health.certificate_ends_at is not None:
        left = days_left(health.certificate_ends_at, now)
        findings.append(Finding("certificate", left >= 0, f"{left} days left"))
    window = Instant(now - HOUR), Instant(now - 10 * SECOND)
    if receiver.capabilities.list_receipts:
        findings.append(await _tried("receipts", receiver.list_receipts(*window)))
    if payer.capabilities.balance:
        findings.append(await _tried("payouts", payer.balance()))
    return findings


async def register_hooks(
    db: Database, banks: Banks, account: Account, *, public_url: str, keyring: Keyring
) -> Sequence[Finding]:
    """Have the bank announce what arrives under each of an account's keys. Safe to repeat."""
    keys, path = await db.read(
        lambda tx: (service.keys_of(tx, account), service.hook_path(tx, account, keyring=keyring))
    )
    receiver = banks.receiver(account)
    if not receiver.capabilities.webhook:
        return [Finding("notifications", True, "the bank sends none; receipts are found by the sweep")]
    return [await _tried(f"notifications of {key}", receiver.ensure_webhook(key, public_url + path)) for key in keys]


async def _tried(name: str, call: Awaitable[object]) -> Finding:
    try:
        await call
    except (CallFailed, Refused) as failure:
        return Finding(name, False, str(failure))
    return Finding(name, True)
