"""The banks behind provider accounts, each reached by its profile: the sandbox bank too, so that what is tested is
what runs with a bank.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import structlog

from opentill.kernel.asgi import Application
from opentill.kernel.clock import Clock, Instant
from opentill.kernel.ids import Ids
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Keyring, Secret
from opentill.outbound import AllowList, Outbound
from opentill.pix.accounts import OWN, UNCHECKED
from opentill.pix.model import Account
from opentill.pix.port import CallFailed, PixPayout, ProviderCall
from opentill.pix.providers import certificates
from opentill.pix.providers.bacen import BacenReceiver, Credentials, Profile, Profiles
from opentill.pix.providers.bacen.calls import Observer
from opentill.pix.providers.http import OverHttp
from opentill.pix.providers.in_process import InProcess
from opentill.pix.providers.no_payouts import NoPayouts
from opentill.pix.providers.nowhere import Nowhere
from opentill.pix.providers.payloads import Payloads
from opentill.pix.providers.sandbox import SandboxPayer
from opentill.pix.providers.transport import Transport
from opentill.pix.service import credentials_of

SANDBOX: Final = "sandbox"
SANDBOX_HOST: Final = "pix.sandbox.opentill.test"

log = structlog.get_logger("opentill.pix")


@dataclass(frozen=True, slots=True)
class Health:
    """How an account stands with its bank: what is wrong with our authorisation, and when our certificate ends."""

    trouble: str | None
    certificate_ends_at: Instant | None


@dataclass(slots=True)
class _Bank:
    """What one account speaks to, for as long as its credentials are the same."""

    profile: Profile
    credentials: Credentials
    receiver: BacenReceiver
    sealed: str
    payer: PixPayout | None = field(default=None)


class Banks:
    """Adapters by account. One serves an account for the life of the process: it keeps the token.

    *sandbox* is the sandbox bank in this process, or the way to one that runs alone. Without *outbound* no other
    bank can be reached, which is enough for tests of the sandbox.
    """

    def __init__(
        self,
        sandbox: Application | None,
        *,
        keyring: Keyring,
        clock: Clock,
        ids: Ids,
        outbound: Outbound | None = None,
        to_sandbox: Transport | None = None,
        profiles: Profiles | None = None,
    ) -> None:
        self.profiles = profiles or Profiles()
        self._sandbox = to_sandbox or (InProcess(sandbox) if sandbox is not None else None)
        self._outbound = outbound
        self._keyring = keyring
        self._clock = clock
        self._ids = ids
        self._banks: dict[int, _Bank] = {}
        self._payloads = Payloads(self._sandbox, frozenset({SANDBOX_HOST}), clock) if self._sandbox else None

    def receiver(self, account: Account) -> BacenReceiver:
        """Return the bank of an account, for receiving."""
        return self._bank(account).receiver

    def payer(self, account: Account) -> PixPayout:
        """Return the bank of an account, for paying out; one that does nothing where there is no driver for it."""
        bank = self._bank(account)
        if bank.payer is None:
            bank.payer = self._payer(account, bank)
        return bank.payer

    async def health(self, account: Account) -> Health:
        """Ask for a token where there is none, and tell how the account stands with its bank."""
        bank = self._bank(account)
        try:
            await bank.receiver.authorise()
            trouble = bank.receiver.trouble
        except CallFailed as failure:
            trouble = bank.receiver.trouble or str(failure)
        return Health(trouble, certificates.expires_at(bank.credentials.tls))

    def _bank(self, account: Account) -> _Bank:
        bank = self._banks.get(account.id)
        if bank is None or bank.sealed != account.sealed_credentials:
            bank = self._banks[account.id] = self._opened(account)
        return bank

    def _opened(self, account: Account) -> _Bank:
        profile = self.profiles.load(account.profile, account.owner.mode)
        credentials = _credentials({} if account.removed else credentials_of(account, self._keyring))
        receiver = BacenReceiver(
            profile,
            credentials,
            self._way_to(account, profile, credentials),
            clock=self._clock,
            ids=self._ids,
            observe=observer(account),
        )
        return _Bank(profile, credentials, receiver, account.sealed_credentials)

    def _payer(self, account: Account, bank: _Bank) -> PixPayout:
        make = _DRIVERS.get(bank.profile.payout_driver or "")
        if make is None:
            return NoPayouts()
        way = self._way_to(account, bank.profile, bank.credentials)
        return make(
            bank.profile,
            bank.credentials,
            way,
            self._payloads if bank.profile.name == SANDBOX else None,
            clock=self._clock,
            ids=self._ids,
            observe=observer(account),
        )

    def _way_to(self, account: Account, profile: Profile, credentials: Credentials) -> Transport:
        if account.removed:
            return Nowhere("the account was removed")
        if profile.name == SANDBOX and self._sandbox is not None:
            return self._sandbox
        if self._outbound is None:
            return Nowhere("this process has no way to a bank")
        if profile.mtls and (credentials.tls is None or credentials.tls.certificate is None):
            return Nowhere("the bank asks for a client certificate, and the account has none")
        return OverHttp(self._outbound, allow=_private_hosts(profile), tls=credentials.tls)


def observer(account: Account) -> Observer:
    """Return what leaves a row of each call to an account's bank in the log. Bodies stay out: they name people.

    The sandbox bank keeps a list of its own, so of calls to it only what failed is told.
    """
    live = account.owner.mode is Mode.LIVE

    def observe(call: ProviderCall) -> None:
        fine = call.outcome in ("ok", "not_found")
        if fine and not live:
            return
        write = log.info if fine else log.warning
        write(
            "provider call",
            account=account.id,
            operation=call.operation,
            our_id=call.our_id,
            started_at=call.started_at,
            duration_us=call.duration_us,
            outcome=call.outcome,
            status=call.status,
            correlation_id=call.correlation_id,
            request_bytes=len(call.request_body),
            answer_bytes=len(call.answer_body),
        )

    return observe


_DRIVERS: Final[dict[str, Callable[..., PixPayout]]] = {SANDBOX: SandboxPayer}


def _credentials(known: Mapping[str, str]) -> Credentials:
    """Return what an account authenticates with. What a profile's braces may name is all that is not a secret file."""
    more = {name: value for name, value in known.items() if name not in OWN}
    return Credentials(
        known.get("client_id", ""),
        Secret(known.get("client_secret", "")),
        more,
        certificates.tls_profile(known),
        known.get("hook_roots"),
        UNCHECKED in known,
    )


def _private_hosts(profile: Profile) -> AllowList | None:
    """Return what opens the hosts of a bank that its profile says are on a private network."""
    if not profile.private_network:
        return None
    addresses = (profile.base_url, profile.token_url, profile.payout_base_url)
    return AllowList.parse({urlsplit(address).netloc for address in addresses if address})
