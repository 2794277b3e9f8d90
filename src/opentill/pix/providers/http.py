"""Reaching a bank over the network, through the guarded client."""

from collections.abc import Mapping
from typing import Final

from opentill.outbound import AllowList, Outbound, OutboundRequest, Outcome, TlsProfile
from opentill.pix.port import Ambiguous, NotSent
from opentill.pix.providers.transport import RawAnswer

ANSWER_BYTES_MAX: Final = 1_048_576

# With these the request certainly never left. All others may have come after it did.
_NEVER_LEFT: Final = frozenset(
    {
        Outcome.BLOCKED_URL,
        Outcome.BLOCKED_ADDRESS,
        Outcome.OWN_ADDRESS,
        Outcome.TIMEOUT_DNS,
        Outcome.TIMEOUT_CONNECT,
        Outcome.TIMEOUT_TLS,
        Outcome.DNS_FAILED,
        Outcome.REFUSED,
        Outcome.UNREACHABLE,
        Outcome.TLS_FAILED,
        Outcome.TLS_CERTIFICATE,
    }
)


class OverHttp:
    """A `Transport` over the network.

    *tls* is the certificate we present; *allow* and *plain_http* are for a sandbox bank on a private address.
    """

    def __init__(
        self,
        client: Outbound,
        *,
        allow: AllowList | None = None,
        plain_http: bool = False,
        tls: TlsProfile | None = None,
    ) -> None:
        self._client = client
        self._tls = tls
        self._allow = allow
        self._plain_http = plain_http

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        """Return the whole answer. Raises `NotSent` when the request certainly never left, else `Ambiguous`."""
        answer = await self._client.send(
            OutboundRequest(
                method=method,
                url=url,
                headers=tuple(headers.items()),
                body=body or None,
                timeout_s=timeout_s,
                plain_http=self._plain_http,
                repeatable=method == "GET",
                allow=self._allow,
                tls=self._tls,
                read_limit=ANSWER_BYTES_MAX,
                keep_limit=ANSWER_BYTES_MAX,
                body_s=timeout_s,
                keep_private_answer=True,
            )
        )
        if answer.outcome in _NEVER_LEFT:
            raise NotSent(answer.error_text or answer.outcome)
        if answer.status is None or answer.cut:
            raise Ambiguous(answer.error_text or f"{answer.outcome}: no whole answer")
        received = {name.lower(): value for name, value in answer.headers}
        return RawAnswer(answer.status, received, answer.body_kept)
