"""Making one attempt: sign, send, describe (webhooks.md §8, §9). No transaction is open meanwhile."""

import hashlib
from functools import lru_cache
from typing import Any, Final

from opentill.kernel.clock import SECOND, Instant, after, unix_seconds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import Keyring, SealedError, Secret
from opentill.outbound.allow import AllowList
from opentill.outbound.model import Answer, Headers, OutboundRequest
from opentill.outbound.outcomes import Outcome
from opentill.outbound.redaction import answer_headers, request_headers
from opentill.outbound.tls import TlsProfile
from opentill.webhooks import rules
from opentill.webhooks.engine import Engine
from opentill.webhooks.entrusted import NOTHING, AuthKind, Entrusted
from opentill.webhooks.model import (
    AT_ONCE,
    Claimed,
    Dialect,
    Endpoint,
    Job,
    Klass,
    Origin,
    Result,
    SealedSecret,
    SignatureFormat,
    SigningKey,
    SigningSecrets,
)
from opentill.webhooks.signing import Attempt, headers
from opentill.webhooks.signing_keys import open_seed

SECRET_FAILED: Final = "secret_failed"  # noqa: S105 - an outcome
AUTH_FAILED: Final = "auth_failed"
NO_TOKEN: Final = "The authorization server gave no token."  # noqa: S105 - a sentence
KEPT_ON_SUCCESS: Final = frozenset(("content-type", "date"))
ALLOW_LISTS_KEPT: Final = 256
SECRETS_KEPT: Final = 1_024

TRIGGERS: Final = {
    Origin.EVENT: "event",
    Origin.REDELIVERY: "redeliver",
    Origin.REPLAY: "replay",
    Origin.TEST: "test",
}


async def attempt(engine: Engine, job: Job) -> Result:
    """Make one attempt and return what became of it. Signed with the secrets and the time of this moment."""
    started_at = engine.clock.now()
    try:
        secrets = _open(job, engine.keyring)
        entrusted = _opened(job, engine.keyring)
    except SealedError as fault:
        return _result(job, SECRET_FAILED, started_at, detail={"error": str(fault), "worker": engine.worker})
    request = _request(job, secrets, entrusted, started_at, engine)
    answer = await engine.authorizing.send(request, entrusted, endpoint=job.endpoint)
    if answer is None:
        return _result(job, AUTH_FAILED, started_at, detail=_without_token(request, engine.worker))
    return _result(
        job,
        str(answer.outcome),
        started_at,
        duration_us=answer.duration_us,
        status=answer.status,
        retry_after=_retry_after(answer, after(started_at, answer.duration_us)),
        detail=_detail(job, request, answer, engine.worker, entrusted),
        body=answer.body_kept or None,
    )


def dropped(engine: Engine, job: Job) -> Result:
    """Return the result of a claim that is given back unsent."""
    return _result(job, rules.DROPPED, engine.clock.now())


def url_of(job: Job) -> str:
    return job.claimed.target_url or job.endpoint.url


def signed_headers(job: Job, keyring: Keyring, now: Instant) -> list[tuple[str, str]]:
    """Return every header an attempt at this moment would carry, for who reads a feed. Raises `SealedError`."""
    return _signed(job, _open(job, keyring), now)


def timeout_of(job: Job, engine: Engine) -> int:
    """Return how many seconds an attempt may take: the owner's choice or the usual, within what the operator allows."""
    return min(job.endpoint.options.timeout_s or engine.timeout_default_s, engine.timeout_max_s)


def _open(job: Job, keyring: Keyring) -> SigningSecrets:
    """Unseal the secrets valid at the claim. Raises `SealedError`."""
    if not job.secrets:
        raise SealedError(f"{job.endpoint.public_id} has no secret")
    current, *rest = (_opened_secret(keyring, secret) for secret in job.secrets)
    keys = job.keys if job.signer is None or job.signer.options.asymmetric else ()
    return SigningSecrets(
        current,
        rest[0] if rest else None,
        tuple(_opened_seed(keyring, key) for key in keys),
        keys[0].kid if keys else None,
    )


@lru_cache(SECRETS_KEPT)  # the same few secrets sign over and over
def _opened_secret(keyring: Keyring, secret: SealedSecret) -> Secret:
    return keyring.open_secret(secret.sealed, secret.context)


@lru_cache(SECRETS_KEPT)
def _opened_seed(keyring: Keyring, key: SigningKey) -> Secret:
    return open_seed(key, keyring)


def _opened(job: Job, keyring: Keyring) -> Entrusted:
    """Unseal what the owner entrusted to us. Raises `SealedError`."""
    sealed = job.endpoint.sealed
    return NOTHING if sealed is None else Entrusted.opened(sealed, keyring, job.endpoint.id)


def _request(job: Job, secrets: SigningSecrets, entrusted: Entrusted, now: Instant, engine: Engine) -> OutboundRequest:
    claimed, endpoint = job.claimed, job.endpoint
    opened_by_operator = claimed.owner.mode is Mode.SANDBOX and bool(job.outbound_allow)
    return OutboundRequest(
        method="POST",
        url=url_of(job),
        headers=[*_signed(job, secrets, now), *entrusted.headers],
        body=job.body,
        timeout_s=float(timeout_of(job, engine)),
        plain_http=endpoint.dialect is not Dialect.PIX or endpoint.options.allow_insecure,
        allow=_allow_list(job.outbound_allow) if job.outbound_allow else None,
        tls=_profile(endpoint, entrusted),
        owner=claimed.owner.merchant_id,
        keep_limit=engine.answer_kept_bytes,
        keep_private_answer=engine.keep_private_answers or opened_by_operator,
    )


def _signed(job: Job, secrets: SigningSecrets, now: Instant) -> list[tuple[str, str]]:
    claimed = job.claimed
    return headers(
        Attempt(
            dialect=job.endpoint.dialect,
            event_id=claimed.event_id,
            event_name=claimed.wire_type,
            delivery_id=claimed.public_id,
            number=claimed.attempts + 1,
            timestamp=unix_seconds(now),
            body=job.body,
            signature_format=_format(job),
            standard_headers=_standard(job),
        ),
        secrets,
    )


def _profile(endpoint: Endpoint, entrusted: Entrusted) -> TlsProfile | None:
    """Return our side of the handshake where it is not the usual one."""
    bundle = endpoint.options.ca_bundle
    return entrusted.profile(bundle) if bundle is not None or entrusted.kind is AuthKind.MTLS else None


def _format(job: Job) -> SignatureFormat:
    """Return the signer's format; a callback signed with the default secret brings its own."""
    if job.signer is None:
        return job.claimed.target_format or SignatureFormat.PREFIXED
    return job.signer.options.signature_format


def _standard(job: Job) -> bool:
    return job.signer is None or job.signer.options.standard_headers


@lru_cache(ALLOW_LISTS_KEPT)
def _allow_list(entries: tuple[str, ...]) -> AllowList:
    return AllowList.parse(entries)


def _retry_after(answer: Answer, now: Instant) -> Instant | None:
    """Return the instant the receiver asked for; it counts on anything that is not 2xx, 3xx or 410."""
    if answer.outcome in (Outcome.OK, Outcome.REDIRECT, Outcome.GONE):
        return None
    seconds = answer.retry_after_s(now)
    return None if seconds is None else after(now, seconds * SECOND)


def _result(
    job: Job,
    outcome: str,
    started_at: Instant,
    *,
    duration_us: int = 0,
    status: int | None = None,
    retry_after: Instant | None = None,
    detail: dict[str, Any] | None = None,
    body: bytes | None = None,
) -> Result:
    claimed = job.claimed
    return Result(
        delivery_id=claimed.id,
        endpoint_id=claimed.endpoint_id,
        claim_gen=claimed.claim_gen,
        attempts=claimed.attempts,
        attempts_max=claimed.attempts_max,
        lost=claimed.lost,
        outcome=outcome,
        started_at=started_at,
        duration_us=duration_us,
        status=status,
        retry_after=retry_after,
        detail=detail,
        body=body,
        schedule_from=claimed.schedule_from,
    )


def _without_token(request: OutboundRequest, worker: str) -> dict[str, Any]:
    """Describe an attempt that ended before the receiver was called."""
    return {"worker": worker, "method": request.method, "url": request.url, "error": NO_TOKEN}


def _detail(job: Job, request: OutboundRequest, answer: Answer, worker: str, entrusted: Entrusted) -> dict[str, Any]:
    """Describe an attempt for the log; secrets of either side are left out (webhooks.md §9.1, §9.2)."""
    claimed, hidden = job.claimed, {name.lower() for name, _ in entrusted.headers}
    found: dict[str, Any] = {
        "trigger": _trigger(claimed),
        "worker": worker,
        "method": request.method,
        "url": request.url,
        "headers": [list(header) for header in request_headers(request.headers, hidden)],
        "payload": {
            "event": claimed.event_id,
            "variant": claimed.variant,
            "sha256": hashlib.sha256(job.body).hexdigest(),
        },
        "phases_us": list(answer.phases_us),
        "address": answer.address,
        "reused": answer.reused,
        "tls": _tls(answer),
        "answer_headers": _answer_headers(answer.headers, succeeded=answer.outcome is Outcome.OK),
        "body": {"bytes": answer.body_bytes, "kept": len(answer.body_kept), "cut": answer.cut},
        "error": answer.error_text,
        "rule": None if answer.refusal is None else answer.refusal.rule,
        "retry_after": answer.retry_after,
    }
    return {name: value for name, value in found.items() if value is not None}


def _trigger(claimed: Claimed) -> str:
    """Return what an attempt is made for: what its delivery was, unless somebody asked for it once more, or at once."""
    if claimed.origin is Origin.TEST:
        return TRIGGERS[Origin.TEST]
    # A resend limits the attempts of what was over, and makes a retry due at once; nothing else does either.
    if claimed.attempts_max is not None or (claimed.klass is Klass.RETRY and claimed.due_at == AT_ONCE):
        return "resend"
    return TRIGGERS[Origin.REPLAY if claimed.klass is Klass.BULK else claimed.origin]


def _tls(answer: Answer) -> dict[str, Any] | None:
    facts = answer.tls
    if facts is None:
        return None
    return {
        "version": facts.version,
        "cipher": facts.cipher,
        "subject": facts.subject,
        "issuer": facts.issuer,
        "expires_at": facts.expires_at,
    }


def _answer_headers(received: Headers, *, succeeded: bool) -> list[list[str]]:
    kept = [(name, value) for name, value in received if not succeeded or name.lower() in KEPT_ON_SUCCESS]
    return [list(header) for header in answer_headers(kept)]
