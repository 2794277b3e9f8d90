"""Access tokens: one per account, renewed early, one renewal at a time (pix-rail.md §6.2)."""

import asyncio
import json
from base64 import b64encode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlencode

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from opentill.kernel.clock import SECOND, Clock, Instant, after, unix_seconds
from opentill.kernel.ids import Ids
from opentill.pix.port import Ambiguous, Denied, NotSent
from opentill.pix.providers.bacen.problems import read_object
from opentill.pix.providers.bacen.profile import Credentials, Profile, TokenAuth
from opentill.pix.providers.transport import RawAnswer, Transport

RENEWED_EARLY_S: Final = 60
LIFETIME_UNSAID_S: Final = 300
BACK_OFF_S: Final = (5, 15, 60, 300)  # banks block addresses that hammer their token call
ASSERTION_S: Final = 300
ASSERTION_TYPE: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
STATIC_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class _Token:
    text: str
    renew_at: Instant


class Tokens:
    """The account's token. Keep one for as long as its adapter: it is the cache."""

    def __init__(
        self, profile: Profile, credentials: Credentials, transport: Transport, clock: Clock, ids: Ids
    ) -> None:
        self._profile = profile
        self._ids = ids
        self._credentials = credentials
        self._transport = transport
        self._clock = clock
        self._lock = asyncio.Lock()
        self._token: _Token | None = None
        self._failures = 0
        self._denied = False
        self._not_before = Instant(0)
        self.missing_scopes: frozenset[str] = frozenset()

    async def get(self, timeout_s: float) -> str:
        """Return a token that is good for a minute at least. Raises `NotSent` or `Denied`."""
        token = self._fresh()
        if token is not None:
            return token.text
        async with self._lock:
            token = self._fresh() or await self._renew(timeout_s)
            return token.text

    def drop(self, text: str) -> None:
        """Forget a token the bank no longer takes, unless it was replaced meanwhile."""
        if self._token is not None and self._token.text == text:
            self._token = None

    @property
    def trouble(self) -> str | None:
        """What is wrong with our authorisation at the bank, for an operator; None while all is well."""
        if self._failures:
            return "credentials refused" if self._denied else "token call failing"
        return f"scopes not granted: {', '.join(sorted(self.missing_scopes))}" if self.missing_scopes else None

    def _fresh(self) -> _Token | None:
        token = self._token
        return token if token is not None and self._clock.now() < token.renew_at else None

    async def _renew(self, timeout_s: float) -> _Token:
        self._wait_out_failures()
        try:
            self._token = self._granted(await self._ask(timeout_s))
        except (NotSent, Denied) as failure:
            self._back_off(denied=isinstance(failure, Denied))
            raise
        self._failures = 0
        return self._token

    def _wait_out_failures(self) -> None:
        left = self._not_before - self._clock.now()
        if left > 0 and self._denied:
            raise Denied("the bank refused our credentials a moment ago")
        if left > 0:
            raise NotSent("the token call failed a moment ago", retry_after_s=-(-left // SECOND))

    async def _ask(self, timeout_s: float) -> dict[str, Any]:
        if self._profile.token_auth is TokenAuth.STATIC:
            return {"access_token": self._credentials.more["token"], "expires_in": STATIC_S}
        headers, body = self._identified()
        query = urlencode(self._credentials.filled(self._profile.token_query))
        url = f"{self._profile.token_url}?{query}" if query else self._profile.token_url
        try:
            answer = await self._transport.request("POST", url, headers, body, timeout_s)
        except Ambiguous as broken:
            # A token more or less changes nothing at the bank.
            raise NotSent(f"token call: {broken}") from None
        return _token_document(answer)

    def _identified(self) -> tuple[dict[str, str], bytes]:
        """Return headers and body of the token call."""
        credentials, profile = self._credentials, self._profile
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        form = {"grant_type": "client_credentials"}
        if profile.scopes:
            form["scope"] = " ".join(profile.scopes)
        client_id, secret = credentials.client_id, credentials.client_secret.reveal()
        match profile.token_auth:
            case TokenAuth.BASIC | TokenAuth.JSON_BASIC:
                headers["Authorization"] = _basic(client_id, secret)
            case TokenAuth.FORM:
                form |= {"client_id": client_id, "client_secret": secret}
            case TokenAuth.CLIENT_ID_ONLY:
                form["client_id"] = client_id
            case TokenAuth.PRIVATE_KEY_JWT:
                form |= {
                    "client_id": client_id,
                    "client_assertion_type": ASSERTION_TYPE,
                    "client_assertion": self._assertion(),
                }
        if profile.token_auth is TokenAuth.JSON_BASIC:
            return headers | {"Content-Type": "application/json"}, json.dumps(form).encode()
        return headers, urlencode(form).encode()

    def _assertion(self) -> str:
        """Return a short-lived statement of who we are, signed with the key of our certificate (RFC 7523)."""
        tls, now = self._credentials.tls, unix_seconds(self._clock.now())
        key = load_pem_private_key(tls.key.reveal().encode(), None) if tls is not None and tls.key else None
        if not isinstance(key, rsa.RSAPrivateKey):
            raise Denied("the account has no RSA key to sign with")
        claims = {
            "iss": self._credentials.client_id,
            "sub": self._credentials.client_id,
            "aud": self._profile.token_url,
            "jti": self._ids.uuid7(),
            "iat": now,
            "exp": now + ASSERTION_S,
        }
        parts = [_url64(json.dumps(part).encode()) for part in ({"alg": "RS256", "typ": "JWT"}, claims)]
        signed = ".".join(parts)
        return f"{signed}.{_url64(key.sign(signed.encode(), PKCS1v15(), SHA256()))}"

    def _granted(self, document: dict[str, Any]) -> _Token:
        asked, granted = set(self._profile.scopes), document.get("scope")
        self.missing_scopes = frozenset(asked - set(granted.split())) if isinstance(granted, str) else frozenset()
        lifetime = str(document.get("expires_in"))  # some banks write it as text
        seconds = int(lifetime) if lifetime.isdecimal() else LIFETIME_UNSAID_S
        kept_s = max(seconds - RENEWED_EARLY_S, seconds // 2)
        return _Token(document["access_token"], after(self._clock.now(), kept_s * SECOND))

    def _back_off(self, *, denied: bool) -> None:
        wait_s = BACK_OFF_S[min(self._failures, len(BACK_OFF_S) - 1)]
        self._failures += 1
        self._denied = denied
        self._not_before = after(self._clock.now(), wait_s * SECOND)


def _basic(client_id: str, secret: str) -> str:
    """Return the header of RFC 6749 §2.3.1: both halves are form-encoded before they are joined."""
    pair = f"{quote(client_id, safe='')}:{quote(secret, safe='')}"
    return f"Basic {b64encode(pair.encode()).decode()}"


def _url64(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _token_document(answer: RawAnswer) -> dict[str, Any]:
    if answer.status in (400, 401, 403):
        raise Denied(f"the token call answered {answer.status}")
    document = read_object(answer.body)
    if answer.status != 200 or document is None or not isinstance(document.get("access_token"), str):
        raise NotSent(f"the token call answered {answer.status} without a token")
    return document
