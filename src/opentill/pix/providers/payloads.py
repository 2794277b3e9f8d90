"""The charge behind a dynamic code, read as a payer's bank reads it (pix-rail.md §2.7).

Only hosts that were named beforehand are fetched: the sandbox bank's in the sandbox, none with live money, where
decoding is the payout bank's own affair.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Any, Final
from urllib.parse import urlsplit

from opentill.kernel.clock import HOUR, SECOND, Clock, Instant, after
from opentill.pix import brcode, jws
from opentill.pix.port import Ambiguous, DecodedCode, NotSent, Recipient, Refused
from opentill.pix.providers.bacen.wire import Malformed, centavos_of, read_instant
from opentill.pix.providers.transport import RawAnswer, Transport
from opentill.pix.rejections import BY_CODE

TIMEOUT_S: Final = 5.0
BYTES_MAX: Final = 65_536
KEYS_KEPT: Final = HOUR
ACCEPT: Final = {"Accept": "application/jose, application/json"}
DUE_PATH: Final = "/cobv/"


@dataclass(frozen=True, slots=True)
class _Keys:
    document: Mapping[str, Any]
    until: Instant


class Payloads:
    """Reads codes. Keep one per process: it keeps the banks' key sets."""

    def __init__(self, transport: Transport, hosts: frozenset[str], clock: Clock) -> None:
        self._transport = transport
        self._hosts = hosts
        self._clock = clock
        self._keys: dict[str, _Keys] = {}

    async def decode(self, code: str, on: date) -> DecodedCode:
        """Return what a code asks for on a day of payment. Raises `Refused`, or `NotSent` where nobody answered."""
        try:
            read = brcode.parse(code)
        except brcode.BadCode as bad:
            raise _rejected(bad.message) from None
        if read.kind is brcode.Kind.RECURRENCE or read.facilitator is not None:
            raise _rejected("this kind of code cannot be paid by a payout")
        if read.url is None:
            return _static(read)
        return _dynamic(await self._payload(read.url, on), self._clock.now())

    async def _payload(self, url: str, on: date) -> Mapping[str, Any]:
        """Return the verified charge at a location."""
        host = url.partition("/")[0]
        if host not in self._hosts:
            raise _rejected("the code is of a bank that is not asked from here")
        query = f"?DPP={on.isoformat()}" if DUE_PATH in url else ""
        body = await self._fetched(f"https://{url}{query}")
        try:
            token = jws.read(body.decode("ascii"), host=host)
            document = json.loads(jws.verify(token, await self._key_set(token.header)), parse_float=Decimal)
        except (jws.BadSignature, ValueError) as bad:
            raise _rejected(f"the charge behind the code: {bad}") from None
        if not isinstance(document, dict):
            raise _rejected("the charge behind the code is not an object")
        return document

    async def _key_set(self, header: jws.Header) -> Mapping[str, Any]:
        host, now = urlsplit(header.key_set_url).netloc, self._clock.now()
        kept = self._keys.get(host)
        if kept is None or not now < kept.until <= after(now, KEYS_KEPT):
            document = json.loads(await self._fetched(header.key_set_url))
            if not isinstance(document, dict):
                raise jws.BadSignature("the key set is not an object")
            kept = self._keys[host] = _Keys(document, after(now, KEYS_KEPT))
        return kept.document

    async def _fetched(self, url: str) -> bytes:
        try:
            answer = await self._transport.request("GET", url, ACCEPT, b"", TIMEOUT_S)
        except Ambiguous as broken:
            raise NotSent(str(broken)) from None
        return _whole(answer)


def _whole(answer: RawAnswer) -> bytes:
    """Return the body of a good answer. A redirect is not followed, and counts as no answer."""
    if answer.status in (400, 404, 410):
        raise _rejected("the charge behind the code is gone, or cannot be paid on that day")
    if answer.status != 200:
        raise NotSent(f"the location answered {answer.status}")
    if len(answer.body) > BYTES_MAX:
        raise _rejected("the charge behind the code is too long")
    return answer.body


def _static(read: brcode.Code) -> DecodedCode:
    amount = read.amount_centavos or None  # 0.00 is how some write that the payer chooses
    return DecodedCode(
        key=read.key or "",
        amount_centavos=amount,
        changeable=amount is None,
        payable=True,
        txid=read.txid,
        recipient=Recipient(name=read.name),
    )


def _dynamic(document: Mapping[str, Any], now: Instant) -> DecodedCode:
    try:
        value, calendar = _object(document, "valor"), _object(document, "calendario")
        owner = document.get("recebedor")
        shown = owner if isinstance(owner, dict) else {}
        expires_at = _expiry(calendar)
        return DecodedCode(
            key=str(document["chave"]),
            amount_centavos=_amount(value.get("final", value.get("original"))),
            changeable=str(value.get("modalidadeAlteracao", 0)) == "1",
            payable=document.get("status") == "ATIVA" and (expires_at is None or now < expires_at),
            txid=str(document["txid"]),
            recipient=Recipient(shown.get("nome"), shown.get("cnpj") or shown.get("cpf")),
            expires_at=expires_at,
        )
    except (Malformed, KeyError, ValueError) as bad:
        raise _rejected(f"the charge behind the code: {bad}") from None


def _expiry(calendar: Mapping[str, Any]) -> Instant | None:
    """Return when an immediate charge ends. A due one is judged by its bank, for the day it is asked about."""
    if "expiracao" not in calendar:
        return None
    return after(read_instant(calendar.get("criacao")), int(str(calendar["expiracao"])) * SECOND)


def _amount(value: object) -> int:
    """Return centavos; texts may have a decimal comma."""
    return centavos_of(value.replace(",", ".") if isinstance(value, str) else value)


def _object(document: Mapping[str, Any], member: str) -> Mapping[str, Any]:
    value = document.get(member)
    if not isinstance(value, dict):
        raise Malformed(f"{member} is missing")
    return value


def _rejected(detail: str) -> Refused:
    row = BY_CODE["BE17"]
    return Refused(row.reason, detail, rail_code=row.code)
