"""Rotating what signs: secrets with an overlap, key pairs with a day's notice (webhooks.md §6.4, §6.5)."""

import pytest
from standardwebhooks import Webhook

from opentill.kernel.clock import DAY, HOUR, SECOND
from opentill.kernel.errors import Invalid
from opentill.outbound.model import OutboundRequest
from opentill.webhooks import queries, service
from opentill.webhooks.model import Dialect, Endpoint, SigningKey
from opentill.webhooks.service import Rotated
from opentill.webhooks.signing import body_hex, standard_form, timed_signature
from tests.contract.webhooks import documents as doc
from tests.usecases.webhooks.engine import Bench

pytestmark = pytest.mark.anyio


async def rotate(bench: Bench, endpoint: Endpoint, *, overlap_s: int = 86_400, secret: str | None = None) -> Rotated:
    engine = bench.engine
    return await bench.db.write(
        lambda tx: service.rotate_secret(
            tx,
            owner=bench.owner,
            dialect=endpoint.dialect,
            endpoint_id=endpoint.public_id,
            ids=engine.ids,
            keyring=engine.keyring,
            now=engine.clock.now(),
            overlap_s=overlap_s,
            secret=secret,
        )
    )


async def next_request(bench: Bench) -> OutboundRequest:
    parts = {"payment": doc.payment(), "charge": doc.charge(), "receipt": doc.receipt()}
    await bench.happens(bench.event(pix="pix.charge.paid", **parts))
    await bench.plan()
    await bench.deliver()
    return bench.receiver.requests[-1]


async def keys_of(bench: Bench) -> list[SigningKey]:
    found = await bench.db.read(
        lambda tx: queries.published_keys(tx, bench.merchant.uuid, bench.owner.mode, now=bench.clock.now())
    )
    assert found is not None
    return found


@pytest.mark.checklist("SG14")
async def test_during_the_overlap_both_secrets_sign_and_afterwards_only_the_new_one(bench: Bench) -> None:
    endpoint, old = await bench.endpoint()
    rotated = await rotate(bench, endpoint)

    request = await next_request(bench)
    headers, body = dict(request.headers), request.body or b""
    assert headers["X-OP-Signature"] == body_hex(rotated.secret, body)
    assert headers["X-OwnPay-Signature-Previous"] == "sha256=" + body_hex(old, body)
    assert [token[:3] for token in headers["webhook-signature"].split(" ")] == ["v1,", "v1,", "v1a"]

    bench.clock.advance(DAY + SECOND)
    headers = dict((await next_request(bench)).headers)
    assert "X-OwnPay-Signature-Previous" not in headers
    assert [token[:3] for token in headers["webhook-signature"].split(" ")] == ["v1,", "v1a"]


@pytest.mark.checklist("W5")
async def test_either_secret_verifies_what_the_pix_dialect_sends_during_the_overlap(bench: Bench) -> None:
    endpoint, old = await bench.endpoint(dialect=Dialect.PIX)
    rotated = await rotate(bench, endpoint)

    request = await next_request(bench)
    headers, body = dict(request.headers), request.body or b""
    timestamp = int(headers["X-Owem-Timestamp"])
    assert headers["X-Owem-Signature"] == timed_signature(rotated.secret, timestamp, body)
    assert headers["X-Owem-Signature-Previous"] == timed_signature(old, timestamp, body)
    for secret in (old, rotated.secret):
        Webhook(standard_form(secret).reveal()).verify(body, headers)


@pytest.mark.checklist("SG14")
async def test_without_an_overlap_the_old_secret_is_destroyed(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    rotated = await rotate(bench, endpoint, overlap_s=0, secret="a-secret-of-my-own")

    assert rotated.previous_until is None
    assert rotated.secret.reveal() == "a-secret-of-my-own"
    assert len(await bench.rows("select * from webhook_secret")) == 1
    assert "X-OwnPay-Signature-Previous" not in dict((await next_request(bench)).headers)


async def test_rotating_again_during_an_overlap_ends_the_oldest_secret_and_says_so(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    first = await rotate(bench, endpoint)
    second = await rotate(bench, endpoint)

    assert (first.ended_older, second.ended_older) == (False, True)
    request = await next_request(bench)
    headers, body = dict(request.headers), request.body or b""
    assert headers["X-OwnPay-Signature-Previous"] == "sha256=" + body_hex(first.secret, body)
    assert headers["X-OP-Signature"] == body_hex(second.secret, body)


async def test_a_retry_is_signed_with_the_secrets_of_its_own_moment(bench: Bench) -> None:
    endpoint, _ = await bench.endpoint()
    await bench.happens(bench.event())
    await bench.plan()
    (job,) = await bench.claim()
    before = await bench.send(job)
    rotated = await rotate(bench, endpoint, overlap_s=0)
    await bench.complete(before)

    request = await next_request(bench)
    assert dict(request.headers)["X-OP-Signature"] == body_hex(rotated.secret, request.body or b"")


async def test_a_rotation_is_refused_with_every_fault_and_audited_by_fingerprints(bench: Bench) -> None:
    endpoint, old = await bench.endpoint()
    with pytest.raises(Invalid) as refused:
        await rotate(bench, endpoint, overlap_s=604_801, secret="short")
    assert [fault.code for fault in refused.value.faults] == ["VALIDATION_FAILED", "INVALID_SECRET"]

    rotated = await rotate(bench, endpoint)
    (entry,) = await bench.rows("select * from audit_entry where action = 'webhook.rotate_secret'")
    assert entry["subject"] == endpoint.public_id
    assert old.reveal() not in entry["detail"]
    assert rotated.secret.reveal() not in entry["detail"]


@pytest.mark.checklist("SG20")
async def test_a_new_key_pair_is_published_a_day_before_it_signs_and_the_old_one_leaves_a_day_later(
    bench: Bench,
) -> None:
    await bench.endpoint()
    (old,) = await keys_of(bench)
    engine = bench.engine

    new = await bench.db.write(
        lambda tx: service.rotate_signing_key(
            tx, owner=bench.owner, ids=engine.ids, keyring=engine.keyring, now=bench.clock.now()
        )
    )

    async def signs() -> tuple[str, int]:
        headers = dict((await next_request(bench)).headers)
        return headers["X-OpenTill-Key-Id"], headers["webhook-signature"].count("v1a,")

    assert {key.kid for key in await keys_of(bench)} == {old.kid, new}
    assert await signs() == (old.kid, 1)
    bench.clock.advance(DAY - HOUR)
    assert await signs() == (old.kid, 1)
    bench.clock.advance(HOUR)
    assert await signs() == (new, 2)
    bench.clock.advance(DAY)
    assert await signs() == (new, 1)
    assert [key.kid for key in await keys_of(bench)] == [new]


async def test_a_revoked_key_pair_ends_at_once(bench: Bench) -> None:
    await bench.endpoint()
    engine = bench.engine
    new = await bench.db.write(
        lambda tx: service.rotate_signing_key(
            tx, owner=bench.owner, ids=engine.ids, keyring=engine.keyring, now=bench.clock.now(), revoke_now=True
        )
    )

    headers = dict((await next_request(bench)).headers)
    assert (headers["X-OpenTill-Key-Id"], headers["webhook-signature"].count("v1a,")) == (new, 1)
    assert [key.kid for key in await keys_of(bench)] == [new]


async def test_merchants_do_not_share_key_pairs(bench: Bench) -> None:
    other = await bench.new_merchant("Outra Loja")
    await bench.endpoint()
    await bench.endpoint(owner=other.owner)

    keys = await bench.rows("select merchant_id, kid, sealed from webhook_signing_key")
    assert len({key["kid"] for key in keys}) == len({key["merchant_id"] for key in keys}) == 2
    assert all(key["sealed"].startswith("v1.") for key in keys)


async def test_a_key_pair_without_one_before_it_signs_at_once(bench: Bench) -> None:
    await bench.endpoint()
    await bench.db.write(lambda tx: tx.run("update webhook_signing_key set retires_at = :now", now=bench.clock.now()))
    engine = bench.engine
    new = await bench.db.write(
        lambda tx: service.rotate_signing_key(
            tx, owner=bench.owner, ids=engine.ids, keyring=engine.keyring, now=bench.clock.now()
        )
    )

    assert dict((await next_request(bench)).headers)["X-OpenTill-Key-Id"] == new
