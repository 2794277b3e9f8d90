"""What goes wrong in others' signatures, and does not in ours (webhooks.md §16.5)."""

import base64
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from opentill.db import Database
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SeededIds, SystemIds
from opentill.kernel.secret import Secret
from opentill.merchants import service as merchants
from opentill.outbound import AllowList, Outbound
from opentill.webhooks.model import Dialect, Options, SignatureFormat, SigningSecrets
from opentill.webhooks.signing import Attempt, headers, standard_form
from tests.contract.signatures.library import verdicts
from tests.contract.webhooks import documents as doc
from tests.fakes.receiver import Received, Receiver
from tests.usecases.webhooks.engine import Bench

pytestmark = [pytest.mark.anyio, pytest.mark.bar("S2")]

IDS = SeededIds(11, SystemClock())
SECRET, OLDER = (
    Secret("whsec_" + base64.b64encode(bytes(range(32))).decode()),
    Secret("5f1d7a84db00d2fce00b31a7fc73224f"),
)
SEED = Secret(base64.b64encode(IDS.token_bytes(32)).decode())
BODY = '{"note":"a/b 💳"}'.encode()
TOKENS = re.compile(r"v1,[A-Za-z0-9+/]{43}=( v1,[A-Za-z0-9+/]{43}=)?( v1a,[A-Za-z0-9+/]{86}==){0,2}")
PREFIXED, BARE = re.compile(r"sha256=[0-9a-f]{64}"), re.compile(r"[0-9a-f]{64}")
HOSTILE = "ORD-1\r\nX-Evil: 1\r\n\r\n{} é 💳 ."


def attempt(**changes: object) -> Attempt:
    fields = {
        "dialect": Dialect.MERCHANT,
        "event_id": "evt_0197f3c20000a1b2c3d4e5f6",
        "event_name": "payment.completed",
        "delivery_id": "dlv_0197f3c200010a0b0c0d0e0f",
        "number": 1,
        "timestamp": SystemClock().now() // 1_000_000,
        "body": BODY,
    }
    return Attempt(**(fields | changes))  # type: ignore[arg-type]


@pytest.mark.checklist("SG9")
def test_ids_hold_no_dot_and_one_that_does_is_refused() -> None:
    made = [f"{prefix}{SystemIds().timed_hex()}" for prefix in ("evt_", "dlv_", "att_", "rpl_") for _ in range(50)]
    assert all(re.fullmatch(r"[a-z]{3}_[0-9a-f]{24}", text) for text in made)
    for changes in ({"event_id": "evt_1.2"}, {"delivery_id": "dlv_1.2"}, {"event_id": ""}):
        with pytest.raises(ValueError, match="cannot stand in a header"):
            attempt(**changes)


@pytest.mark.checklist("SG10")
@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("previous", [None, OLDER])
@pytest.mark.parametrize("seeds", [(), (SEED,), (SEED, SEED)])
def test_two_published_libraries_read_every_list_of_tokens(
    dialect: Dialect, previous: Secret | None, seeds: Sequence[Secret]
) -> None:
    sent = dict(headers(attempt(dialect=dialect), SigningSecrets(SECRET, previous, tuple(seeds))))
    assert TOKENS.fullmatch(sent["webhook-signature"])
    for secret in filter(None, (SECRET, previous)):
        form = standard_form(secret).reveal()
        Webhook(form).verify(BODY, sent)
        assert verdicts([(form, sent, BODY)]) == [True]


@pytest.mark.checklist("SG11")
@pytest.mark.parametrize("form", SignatureFormat)
def test_prefixes_are_where_they_belong_and_nowhere_else(form: SignatureFormat) -> None:
    sent = dict(headers(attempt(signature_format=form), SigningSecrets(SECRET, OLDER)))
    shape = PREFIXED if form is SignatureFormat.PREFIXED else BARE
    for name in ("X-OwnPay-Signature", "X-Signature", "X-OwnPay-Signature-Previous"):
        assert shape.fullmatch(sent[name]), name
    assert BARE.fullmatch(sent["X-OP-Signature"])
    assert sent["X-OP-Signature"] == sent["X-OwnPay-Signature"].removeprefix("sha256=")
    pix = dict(headers(attempt(dialect=Dialect.PIX, signature_format=form), SigningSecrets(SECRET, OLDER)))
    assert PREFIXED.fullmatch(pix["X-Owem-Signature"])
    assert PREFIXED.fullmatch(pix["X-Owem-Signature-Previous"])


@pytest.mark.checklist("SG16")
@pytest.mark.parametrize("field", ["event_id", "event_name", "delivery_id"])
@pytest.mark.parametrize("text", ["a\r\nX-Evil: 1", "a\n", "evt_é", "evt_１", "a b", "a\x00", "a:b", ""])
def test_no_line_break_and_nothing_but_ascii_comes_into_a_header(field: str, text: str) -> None:
    with pytest.raises(ValueError, match="cannot stand in a header"):
        attempt(**{field: text})


@dataclass
class Sending:
    """An engine with the real client, and a receiver with real sockets."""

    bench: Bench
    receiver: Receiver
    secrets: dict[Dialect, Secret]

    async def sent(self, **more: object) -> list[Received]:
        event = self.bench.event(pix="pix.charge.paid", **more)  # type: ignore[arg-type]
        await self.bench.happens(event)
        await self.bench.plan()
        await self.bench.deliver()
        return self.receiver.requests


@pytest.fixture
async def sending(database: Database) -> AsyncIterator[Sending]:
    bench = await Bench(database).start()
    async with Receiver() as receiver, Outbound(allow=AllowList.parse(["127.0.0.1"])) as outbound:
        bench.engine.sender = outbound
        bench.engine.authorizing = type(bench.engine.authorizing)(outbound)
        secrets = {}
        for dialect in Dialect:
            url = receiver.url(f"/{dialect.name.lower()}")
            _, secrets[dialect] = await bench.endpoint(url, dialect=dialect, options=Options(allow_insecure=True))
        yield Sending(bench, receiver, secrets)


def paid(**changes: object) -> dict[str, object]:
    """Return a document that every dialect has a body for."""
    return {"payment": doc.payment(**changes), "charge": doc.charge(), "receipt": doc.receipt()}


@pytest.mark.checklist("SG18")
async def test_the_bytes_that_arrive_are_those_that_were_stored_and_signed(sending: Sending) -> None:
    requests = await sending.sent(**paid(metadata={"note": "ação 💳 a/b \u2028", "n": "1.0"}))
    stored = {row["sha256"]: row for row in await sending.bench.rows("select * from webhook_payload")}
    assert len(requests) == len(stored) == len(Dialect)
    for request in requests:
        assert hashlib.sha256(request.body).hexdigest() in stored
        assert request.header("Content-Length") == str(len(request.body))
        assert request.header("Transfer-Encoding") is request.header("Content-Encoding") is None
        assert request.header("Content-Type") == "application/json"
        assert not request.body.endswith(b"\n")


@pytest.mark.checklist("SG16")
async def test_hostile_values_of_a_shop_stay_in_the_body(sending: Sending) -> None:
    requests = await sending.sent(object_id=HOSTILE, **paid(order_id=HOSTILE, metadata={HOSTILE: HOSTILE}))
    assert len(requests) == len(Dialect)
    for request in requests:
        assert b"X-Evil" not in request.head
        assert request.head.isascii()
        assert request.head.count(b"\r\n\r\n") == 1
        if request.path != "/pix":  # its body names no order of the shop
            assert b"X-Evil" in request.body


@pytest.mark.checklist("SG13")
async def test_the_secret_of_an_api_credential_verifies_no_delivery(sending: Sending) -> None:
    bench = sending.bench
    engine = bench.engine
    _, client_secret = await bench.db.write(
        lambda tx: merchants.create_credential(
            tx, owner=bench.owner, ids=engine.ids, keyring=engine.keyring, now=engine.clock.now()
        )
    )
    for request in await sending.sent(**paid()):
        found = {name.lower(): value for name, value in request.headers}
        key = client_secret.reveal().encode()
        timed = found["webhook-timestamp"].encode() + b"." + request.body
        for message in (request.body, timed, found["webhook-id"].encode() + b"." + timed):
            made = hmac.new(key, message, hashlib.sha256)
            assert made.hexdigest() not in str(found)
            assert base64.b64encode(made.digest()).decode() not in str(found)
        with pytest.raises(WebhookVerificationError):
            Webhook(standard_form(client_secret).reveal()).verify(request.body, found)
        own = sending.secrets[Dialect[request.path[1:].upper()]]
        Webhook(standard_form(own).reveal()).verify(request.body, found)
