"""Credentials for receivers: an `Authorization` header, if need be with a token fetched first (webhooks.md §8.1).

Token calls leave through the same guarded client as deliveries.
"""

import base64
import json
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from opentill.outbound.model import Answer, OutboundRequest
from opentill.outbound.outcomes import Outcome
from opentill.webhooks.entrusted import AuthKind, Entrusted
from opentill.webhooks.model import Endpoint
from opentill.webhooks.port import Sender

SPARE_S: Final = 60.0  # a token is not used in its last minute
LIFE_DEFAULT_S: Final = 300.0
TOKENS_KEPT_MAX: Final = 1_024
TOKEN_CHARACTERS_MAX: Final = 8_000
UNAUTHORIZED: Final = 401


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    until: float  # monotonic


class Authorizing:
    """Sends requests with the credentials of their endpoint, and keeps its tokens until they expire."""

    def __init__(self, sender: Sender) -> None:
        self._sender = sender
        self._tokens: OrderedDict[tuple[int, int], _Token] = OrderedDict()

    async def send(self, request: OutboundRequest, entrusted: Entrusted, *, endpoint: Endpoint) -> Answer | None:
        """Send a request; None if the authorization server gave no token."""
        if entrusted.kind is not AuthKind.OAUTH2:
            value = entrusted.authorization()
            return await self._sender.send(request if value is None else _with(request, value))

        place = endpoint.id, endpoint.version
        known = self._tokens.get(place)
        fresh = known is None or known.until <= time.monotonic()
        token = await self._fetch(place, request, entrusted) if fresh else known
        if token is None:
            return None
        answer = await self._sender.send(_with(request, f"Bearer {token.text}"))
        if answer.status != UNAUTHORIZED or fresh:
            return answer
        token = await self._fetch(place, request, entrusted)
        return None if token is None else await self._sender.send(_with(request, f"Bearer {token.text}"))

    async def _fetch(self, place: tuple[int, int], request: OutboundRequest, entrusted: Entrusted) -> _Token | None:
        answer = await self._sender.send(_token_request(request, entrusted))
        token = _read(answer) if answer.outcome is Outcome.OK else None
        self._tokens.pop(place, None)
        if token is not None:
            self._tokens[place] = token
            while len(self._tokens) > TOKENS_KEPT_MAX:
                self._tokens.popitem(last=False)
        return token


def _with(request: OutboundRequest, authorization: str) -> OutboundRequest:
    return request._replace(headers=[*request.headers, ("Authorization", authorization)])


def _token_request(request: OutboundRequest, entrusted: Entrusted) -> OutboundRequest:
    """Return the call for a token by client credentials (RFC 6749 §4.4), with the limits of the delivery itself."""
    fields = entrusted.fields
    asked = {"grant_type": "client_credentials"} | ({"scope": fields["scope"]} if fields.get("scope") else {})
    pair = f"{quote(fields['client_id'], safe='')}:{quote(fields['client_secret'], safe='')}"
    return request._replace(
        url=fields["token_url"],
        headers=[
            ("Content-Type", "application/x-www-form-urlencoded"),
            ("Accept", "application/json"),
            ("Authorization", "Basic " + base64.b64encode(pair.encode()).decode()),
        ],
        body=urlencode(asked).encode(),
        tls=None,
        keep_limit=request.read_limit,
        keep_private_answer=True,  # it is read here and kept nowhere
    )


def _read(answer: Answer) -> _Token | None:
    try:
        found: Any = json.loads(answer.body_kept)
        text, life_s = found["access_token"], found.get("expires_in", LIFE_DEFAULT_S)
    except (ValueError, KeyError, TypeError, AttributeError):
        return None
    if not isinstance(text, str) or not (text.isascii() and text.isprintable() and len(text) <= TOKEN_CHARACTERS_MAX):
        return None
    life_s = float(life_s) if isinstance(life_s, int | float) else LIFE_DEFAULT_S
    return _Token(text, time.monotonic() + max(0.0, life_s - SPARE_S))
