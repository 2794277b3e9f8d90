"""The sandbox bank as tests and developers use it: payers, magic amounts, faults, notifications, restarts."""

import asyncio
import hashlib
import json
import sqlite3
from base64 import b64decode, urlsafe_b64decode
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA256

from opentill.kernel.clock import SECOND, Instant, ManualClock, SystemClock, after
from opentill.kernel.errors import Refused as KernelRefused
from opentill.kernel.ids import SeededIds, SystemIds
from opentill.pix import brcode
from opentill.pix.port import Ambiguous, ChargeState, NotSent, ProviderReceipt, Refused
from opentill.pix.providers.payloads import Payloads
from opentill.sandbox_psp import SandboxBank
from opentill.sandbox_psp.signing import Algorithm
from opentill.sandbox_psp.standalone import Standalone
from tests.contract.pix.scene import (
    BANK_HOST,
    DOCUMENT,
    HOOK,
    IN_PROCESS_URL,
    KEY,
    SIM_TOKEN,
    Scene,
    in_process,
    open_bank,
    served,
)

pytestmark = pytest.mark.anyio

START = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        yield scene


async def pass_time(scene: Scene, seconds: float) -> int:
    """Let time pass and the bank do what is due; return how many notifications it sent."""
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(int(seconds * SECOND))
    return await scene.tick()


async def receipts(scene: Scene) -> tuple[ProviderReceipt, ...]:
    page = await scene.receiver().list_receipts(START, after(scene.clock.now(), SECOND))
    return page.items


# Magic amounts (pix-api.md §19.2)


async def test_10001_is_paid_a_second_after_its_creation(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request(10001))
    assert await pass_time(scene, 0.9) == 0
    assert await pass_time(scene, 0.1) == 1
    paid = await scene.receiver().get_charge(charge.txid)
    assert paid is not None
    assert (paid.state, [receipt.amount_centavos for receipt in paid.receipts]) == (ChargeState.PAID, [10001])


async def test_10002_is_paid_with_one_centavo_less(scene: Scene) -> None:
    await scene.receiver().create_charge(scene.request(10002))
    await pass_time(scene, 1)
    assert [receipt.amount_centavos for receipt in await receipts(scene)] == [10001]


async def test_10003_is_paid_twice(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request(10003))
    await pass_time(scene, 1)
    found = await receipts(scene)
    assert [receipt.txid for receipt in found] == [charge.txid] * 2
    assert len({receipt.e2e_id for receipt in found}) == 2


async def test_10004_is_paid_and_never_announced(scene: Scene) -> None:
    await scene.receiver().create_charge(scene.request(10004))
    assert await pass_time(scene, 1) == 0
    assert len(await receipts(scene)) == 1


async def test_10005_is_announced_three_times(scene: Scene) -> None:
    await scene.receiver().create_charge(scene.request(10005))
    assert await pass_time(scene, 1) == 3
    [told] = {json.dumps(document) for _, document in scene.told}
    assert len(json.loads(told)["pix"]) == 1


async def test_10006_expires_after_three_seconds_and_is_paid_after_four(scene: Scene) -> None:
    receiver = scene.receiver()
    charge = await receiver.create_charge(scene.request(10006))
    assert charge.expires_at == after(START, 3 * SECOND)
    await pass_time(scene, 3)
    expired = await receiver.get_charge(charge.txid)
    assert expired is not None
    assert (expired.state, expired.receipts) == (ChargeState.EXPIRED, ())
    await pass_time(scene, 1)
    assert len(await receipts(scene)) == 1


async def test_10007_is_created_although_the_answer_never_comes(scene: Scene) -> None:
    receiver, asked = scene.receiver(), scene.request(10007)
    with pytest.raises(Ambiguous):
        await receiver.create_charge(asked)
    assert (await receiver.get_charge(asked.txid)) is not None
    assert (await receiver.create_charge(asked)).revision == 1


async def test_10008_is_not_created_until_it_is_asked_again(scene: Scene) -> None:
    receiver, asked = scene.receiver(), scene.request(10008)
    with pytest.raises(Ambiguous):
        await receiver.create_charge(asked)
    assert await receiver.get_charge(asked.txid) is None
    assert (await receiver.create_charge(asked)).revision == 0
    state = await scene.state(asked.txid)
    assert state is not None
    assert state["executions"] == 1


@pytest.mark.parametrize(
    ("amount", "creation", "read"),
    [(10009, Refused, Refused), (10010, Ambiguous, NotSent), (10011, Ambiguous, NotSent)],
)
async def test_a_creation_that_never_works_leaves_no_charge(
    scene: Scene, amount: int, creation: type[Exception], read: type[Exception]
) -> None:
    receiver, asked = scene.receiver(), scene.request(amount)
    for _ in range(2):
        with pytest.raises(creation):
            await receiver.create_charge(asked)
        with pytest.raises(read):
            await receiver.get_charge(asked.txid)
    await pass_time(scene, 30)
    assert await receiver.get_charge(asked.txid) is None


async def test_10015_is_announced_before_its_creation_is_answered(tmp_path: Path) -> None:
    async with in_process(tmp_path) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        stop = asyncio.Event()
        running = asyncio.create_task(scene.bank.run(scene.hook, stop))
        charge = await scene.receiver().create_charge(scene.request(10015))
        assert [document["pix"][0]["txid"] for _, document in scene.told] == [charge.txid]
        assert charge.state is ChargeState.ACTIVE
        stop.set()
        await running


async def test_10016_is_removed_by_the_bank_after_a_second(scene: Scene) -> None:
    receiver = scene.receiver()
    charge = await receiver.create_charge(scene.request(10016))
    assert await pass_time(scene, 1) == 0
    removed = await receiver.get_charge(charge.txid)
    assert removed is not None
    assert (removed.provider_status, removed.state) == ("REMOVIDA_PELO_PSP", ChargeState.CANCELLED)


async def test_a_magic_payment_does_not_happen_to_a_removed_charge(scene: Scene) -> None:
    receiver = scene.receiver()
    charge = await receiver.create_charge(scene.request(10001))
    await receiver.cancel_charge(charge.txid)
    await pass_time(scene, 1)
    assert await receipts(scene) == ()


# Payers


async def test_a_dynamic_code_is_paid_by_its_text(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.sim("POST", "pay", {"code": charge.code})
    assert [receipt.txid for receipt in await receipts(scene)] == [charge.txid]


async def test_a_static_code_is_paid_as_often_as_one_likes(scene: Scene) -> None:
    code = brcode.build_static(key=KEY, name="Loja", city="Natal", amount_centavos=150, label="PEDIDO1")
    for _ in range(2):
        await scene.sim("POST", "pay", {"code": code})
    assert [(r.txid, r.amount_centavos) for r in await receipts(scene)] == [("PEDIDO1", 150)] * 2


async def test_a_receipt_without_a_txid_is_not_announced(scene: Scene) -> None:
    await scene.sim("POST", "pay", {"key": KEY, "amount": 100})
    assert await scene.tick() == 0


@pytest.mark.parametrize("hindrance", ["paid", "removed", "expired"])
async def test_a_charge_that_is_over_is_only_paid_by_force(scene: Scene, hindrance: str) -> None:
    receiver = scene.receiver()
    charge = await receiver.create_charge(scene.request())
    if hindrance == "paid":
        await scene.bank.pay(charge.txid)
    elif hindrance == "removed":
        await receiver.cancel_charge(charge.txid)
    else:
        await pass_time(scene, 3600)
    with pytest.raises(KernelRefused):
        await scene.bank.pay(charge.txid)
    assert (await scene.sim_raw("POST", "pay", {"txid": charge.txid})).status == 400
    assert len(await scene.bank.pay(charge.txid, force=True)) == 1


async def test_another_amount_is_paid_only_where_somebody_insists(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    assert (await scene.sim_raw("POST", "pay", {"txid": charge.txid, "amount": 1})).status == 400
    await scene.bank.pay(charge.txid, amount_centavos=1)
    assert [receipt.amount_centavos for receipt in await receipts(scene)] == [1]


async def test_an_end_to_end_id_is_used_once_however_often_it_is_ordered(scene: Scene) -> None:
    order = {"key": KEY, "amount": 100, "e2e_id": "E99999002202603071530abcdef12345", "delay_ms": 100}
    for _ in range(2):
        await scene.sim("POST", "pay", order)
    await pass_time(scene, 1)
    assert len(await receipts(scene)) == 1
    assert (await scene.sim_raw("POST", "pay", order)).status == 400


async def test_a_payment_may_be_put_off(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    answer = await scene.sim("POST", "pay", {"txid": charge.txid, "delay_ms": 500})
    assert await pass_time(scene, 0.4) == 0
    assert await pass_time(scene, 0.1) == 1
    assert [receipt.e2e_id for receipt in await receipts(scene)] == answer["e2e_ids"]


@pytest.mark.parametrize(
    "order",
    [
        {},
        {"txid": "nobody"},
        {"key": "fulano@example.com", "amount": 1},
        {"key": KEY},
        {"code": "x"},
        {"txid": "t", "count": "2"},
        {"key": KEY, "amount": 0},
        {"key": KEY, "amount": 10**15},
        {"txid": "t", "payer": {"name": 5}},
        {"txid": "t", "notify": "often"},
        {"txid": "t", "client_id": "nobody"},
    ],
)
async def test_an_order_that_makes_no_sense_is_refused(scene: Scene, order: dict[str, Any]) -> None:
    assert 400 <= (await scene.sim_raw("POST", "pay", order)).status < 500


# Notifications


async def test_a_refused_notification_is_repeated_after_1_5_30_and_120_seconds(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    scene.hook_status = 503
    await scene.bank.pay(charge.txid)
    assert await scene.tick() == 1
    for wait_s in (1, 5, 30, 120):
        assert await pass_time(scene, wait_s - 0.1) == 0
        assert await pass_time(scene, 0.1) == 1
    assert await pass_time(scene, 100_000) == 0


async def test_an_accepted_notification_is_not_repeated(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.bank.pay(charge.txid)
    assert await scene.tick() == 1
    assert await pass_time(scene, 1_000) == 0


async def test_receipts_of_one_key_go_together_up_to_ten(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.bank.pay(charge.txid, count=23)
    assert await scene.tick() == 3
    assert sorted(len(document["pix"]) for _, document in scene.told) == [3, 10, 10]


async def test_the_suffix_goes_to_the_very_end_of_the_address(scene: Scene) -> None:
    await scene.receiver().ensure_webhook(KEY, HOOK + "?ignorar=")
    charge = await scene.receiver().create_charge(scene.request())
    await scene.bank.pay(charge.txid)
    await scene.tick()
    assert scene.told[0][0] == HOOK + "?ignorar=/pix"


async def test_a_sender_that_breaks_is_a_receiver_that_did_not_answer(scene: Scene) -> None:
    async def broken(url: str, body: bytes) -> int:
        raise ConnectionError(url)

    charge = await scene.receiver().create_charge(scene.request())
    await scene.bank.pay(charge.txid)
    assert await scene.bank.tick(broken) == 1
    assert await pass_time(scene, 1) == 1


@pytest.mark.parametrize(
    ("fault", "sent", "amount"), [("drop", 0, None), ("duplicate", 2, "30.00"), ("wrong_amount", 1, "30.01")]
)
async def test_a_notification_can_be_made_to_lie(scene: Scene, fault: str, sent: int, amount: str | None) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.fault("receipt.notify", fault, match={"txid": charge.txid})
    await scene.bank.pay(charge.txid)
    assert await scene.tick() == sent
    assert {document["pix"][0]["valor"] for _, document in scene.told} == ({amount} if amount else set())
    assert [receipt.amount_centavos for receipt in await receipts(scene)] == [3000]


async def test_a_notification_can_be_delayed(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.fault("receipt.notify", "delay", delay_ms=2000)
    await scene.bank.pay(charge.txid)
    assert await pass_time(scene, 1.9) == 0
    assert await pass_time(scene, 0.1) == 1


# Faults and hooks


async def test_a_fault_is_used_as_often_as_it_says_and_is_gone(scene: Scene) -> None:
    receiver = scene.receiver()
    await scene.fault("charge.read", "http_503", count=2)
    for left in (1, 0):
        with pytest.raises(NotSent):
            await receiver.get_charge("t" * 27)
        listed = (await scene.sim("GET", "faults?client_id=shop"))["faults"]
        assert [fault["count"] - fault["used"] for fault in listed] == ([left] if left else [])
    assert await receiver.get_charge("t" * 27) is None


async def test_a_fault_waits_for_what_it_matches(scene: Scene) -> None:
    receiver, plain, marked = scene.receiver(), scene.request(500), scene.request(777)
    await scene.fault("charge.create", "http_400", match={"amount": 777})
    await receiver.create_charge(plain)
    with pytest.raises(Refused):
        await receiver.create_charge(marked)


async def test_faults_are_cleared(scene: Scene) -> None:
    await scene.fault("charge.read", "http_503")
    await scene.sim("DELETE", "faults?client_id=shop")
    assert await scene.receiver().get_charge("t" * 27) is None


@pytest.mark.parametrize("pair", [("token", "duplicate"), ("nothing", "drop"), ("receipt.notify", "http_400")])
async def test_a_fault_nobody_knows_is_refused(scene: Scene, pair: tuple[str, str]) -> None:
    answer = await scene.sim_raw("POST", "faults", {"operation": pair[0], "fault": pair[1]})
    assert (answer.status, json.loads(answer.body)["message"]) == (422, "fault is invalid")


async def test_the_hooks_want_their_token(scene: Scene, tmp_path: Path) -> None:
    assert (await scene.sim_raw("GET", "requests", token="guess")).status == 403
    closed = SandboxBank(tmp_path / "closed.db", clock=scene.clock, ids=scene.ids)
    scene.transport = type(scene.transport)(closed)  # type: ignore[call-arg]
    assert (await scene.sim_raw("GET", "requests", token="")).status == 403
    closed.close()


async def test_requests_are_kept_in_order_and_without_secrets(scene: Scene) -> None:
    asked = scene.request()
    await scene.receiver(token_auth="form").create_charge(asked)
    kept = (await scene.sim("GET", "requests"))["requests"][-2:]
    assert [(request["method"], request["path"], request["status"]) for request in kept] == [
        ("POST", "/oauth/token", 200),
        ("PUT", f"/api/v2/cob/{asked.txid}", 201),
    ]
    assert "shop-secret" not in json.dumps(kept)


async def test_a_reset_forgets_charges_and_keeps_accounts(scene: Scene) -> None:
    receiver = scene.receiver()
    charge = await receiver.create_charge(scene.request(10001))
    await scene.bank.pay(charge.txid)
    await scene.sim("POST", "reset")
    assert await receiver.get_charge(charge.txid) is None
    assert await pass_time(scene, 10) == 0
    assert (await receiver.create_charge(scene.request())).state is ChargeState.ACTIVE


async def test_what_is_not_there_is_not_found(scene: Scene) -> None:
    for method, path in [("GET", "/"), ("GET", "/_sim/nothing"), ("POST", "/api/v2/cob"), ("GET", "/qr/v2/none")]:
        headers = {"X-Sim-Token": SIM_TOKEN.reveal(), "Authorization": await bearer(scene)}
        answer = await scene.transport.request(method, IN_PROCESS_URL + path, headers, b"", 5)
        assert (answer.status, answer.headers["content-type"]) == (404, "application/problem+json")


async def test_a_call_without_a_token_is_not_answered(scene: Scene) -> None:
    for headers in ({}, {"Authorization": "Bearer guess"}, {"Authorization": "Basic c2hvcDpzaG9wLXNlY3JldA=="}):
        answer = await scene.transport.request("GET", IN_PROCESS_URL + "/api/v2/webhook", headers, b"", 5)
        assert answer.status == 401


async def bearer(scene: Scene, client: str = "shop") -> str:
    form = f"grant_type=client_credentials&client_id={client}&client_secret={client}-secret"
    answer = await scene.transport.request("POST", IN_PROCESS_URL + "/oauth/token", {}, form.encode(), 5)
    return f"Bearer {json.loads(answer.body)['access_token']}"


# Accounts


async def test_a_key_belongs_to_one_account(scene: Scene) -> None:
    with pytest.raises(KernelRefused) as refused:
        scene.bank.open_account(
            client_id="other", client_secret="s", document=DOCUMENT, name="Outra", city="Natal", keys=[KEY]
        )
    assert refused.value.code == "key_taken"
    assert (await scene.sim_raw("POST", "pay", {"txid": "t", "client_id": "other"})).status == 404


async def test_an_account_needs_a_cnpj(scene: Scene) -> None:
    with pytest.raises(KernelRefused) as refused:
        scene.bank.open_account(client_id="cpf", client_secret="s", document="12345678909", name="A", city="B", keys=[])
    assert refused.value.code == "bad_document"


async def test_a_name_that_codes_cannot_carry_gets_a_plain_one(scene: Scene) -> None:
    scene.bank.open_account(
        client_id="shop", client_secret="shop-secret", document=DOCUMENT, name="東京", city="☕", keys=[]
    )
    charge = await scene.receiver().create_charge(scene.request())
    assert charge.code is not None
    assert brcode.parse(charge.code).name == "RECEBEDOR"


# The payload of a location


async def test_a_payers_bank_can_verify_the_charge(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    answer = await scene.transport.request("GET", f"https://{charge.location}", {}, b"", 5)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/jose")
    head, payload, signature = answer.body.split(b".")
    header = json.loads(unpadded(head))
    assert (header["alg"], header["jku"]) == ("RS256", f"{IN_PROCESS_URL}/jwks.json")

    keys = await scene.transport.request("GET", header["jku"], {}, b"", 5)
    [key] = [key for key in json.loads(keys.body)["keys"] if key["kid"] == header["kid"]]
    public = RSAPublicNumbers(number(key["e"]), number(key["n"])).public_key()
    public.verify(unpadded(signature), head + b"." + payload, PKCS1v15(), SHA256())
    certificate = b64decode(key["x5c"][0])
    assert unpadded(header["x5t"].encode()) == hashlib.sha1(certificate).digest()
    certified = x509.load_der_x509_certificate(certificate).public_key()
    assert isinstance(certified, RSAPublicKey)
    assert certified.public_numbers() == public.public_numbers()
    document = json.loads(unpadded(payload))
    assert (document["txid"], document["valor"], document["status"]) == (charge.txid, {"original": "30.00"}, "ATIVA")


async def test_a_paid_charge_is_gone_from_its_location(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request())
    await scene.bank.pay(charge.txid)
    answer = await scene.transport.request("GET", f"https://{charge.location}", {}, b"", 5)
    assert (answer.status, json.loads(answer.body)["type"].rpartition("/")[2]) == (410, "CobPayloadNaoEncontrado")


@pytest.mark.parametrize("algorithm", Algorithm)
async def test_a_payers_bank_reads_the_charge_whatever_it_is_signed_with(tmp_path: Path, algorithm: Algorithm) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock), algorithm=algorithm) as scene:
        charge = await scene.receiver().create_charge(scene.request())
        assert charge.code is not None
        payloads = Payloads(scene.transport, frozenset({BANK_HOST}), clock)
        assert (await payloads.decode(charge.code, date(2026, 3, 7))).txid == charge.txid

        answer = await scene.transport.request("GET", f"https://{charge.location}", {}, b"", 5)
        assert json.loads(unpadded(answer.body.split(b".")[0]))["alg"] == algorithm.value


# Locations made beforehand


async def test_a_poster_serves_one_charge_after_the_other(scene: Scene) -> None:
    poster = await told(scene, "POST", "loc", {"tipoCob": "cob"})
    first, second = scene.request().txid, scene.request().txid
    assert await served_at(scene, poster) == (404, None)

    await asks(scene, first, poster)
    assert await served_at(scene, poster) == (200, first)
    await told(scene, "DELETE", f"loc/{poster['id']}/txid")
    assert await served_at(scene, poster) == (404, None)
    await asks(scene, second, poster)
    assert await served_at(scene, poster) == (200, second)


async def test_a_location_holds_one_charge_of_its_kind(scene: Scene) -> None:
    poster, due = [await told(scene, "POST", "loc", {"tipoCob": kind}) for kind in ("cob", "cobv")]
    await asks(scene, scene.request().txid, poster)
    for place, reason in ((poster, "já está sendo utilizado por outra cobrança"), (due, 'apresenta tipo "cobv"')):
        refused = await asks(scene, scene.request().txid, place)
        assert reason in refused["violacoes"][0]["razao"]


async def test_a_charge_that_moves_is_not_revised_and_frees_where_it_was(scene: Scene) -> None:
    poster = await told(scene, "POST", "loc", {"tipoCob": "cob"})
    charge = await scene.receiver().create_charge(scene.request())
    own = (await told(scene, "GET", f"cob/{charge.txid}"))["loc"]

    for _ in range(2):
        moved = await told(scene, "PATCH", f"cob/{charge.txid}", {"loc": {"id": poster["id"]}})
        assert (moved["revisao"], moved["loc"]["id"]) == (0, poster["id"])
    assert await served_at(scene, own) == (404, None)
    body = {"valor": {"original": "30.00"}, "chave": KEY, "calendario": {"expiracao": 3600}, "loc": {"id": own["id"]}}
    back = await told(scene, "PUT", f"cob/{charge.txid}", body)
    assert (back["revisao"], back["location"]) == (0, charge.location)
    dearer = await told(scene, "PUT", f"cob/{charge.txid}", body | {"valor": {"original": "31.00"}})
    assert dearer["revisao"] == 1


async def test_another_accounts_location_is_not_there(scene: Scene) -> None:
    poster = await told(scene, "POST", "loc", {"tipoCob": "cob"})
    scene.bank.open_account(
        client_id="other", client_secret="other-secret", document="12ABC34501DE35", name="B", city="C", keys=[]
    )
    headers = {"Authorization": await bearer(scene, "other")}
    answer = await scene.transport.request("GET", f"{IN_PROCESS_URL}/api/v2/loc/{poster['id']}", headers, b"", 5)
    assert answer.status == 404


async def test_charges_of_older_books_keep_their_locations(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as scene:
        charge = await scene.receiver().create_charge(scene.request())
    with closing(sqlite3.connect(tmp_path / "bank.db")) as books:
        books.execute("drop table location")
    async with in_process(tmp_path, clock, SeededIds(8, clock)) as scene:
        found = await scene.receiver().get_charge(charge.txid)
        assert found is not None
        assert (found.location, found.code) == (charge.location, charge.code)


async def told(scene: Scene, method: str, path: str, document: object = None) -> dict[str, Any]:
    """Make a call the adapter has no use for; return the answer's document."""
    answer = await scene.bank_call(method, f"/api/v2/{path}", document)
    found: dict[str, Any] = json.loads(answer.body)
    return found


async def asks(scene: Scene, txid: str, place: dict[str, Any]) -> dict[str, Any]:
    """Ask for a charge at a location."""
    body = {"valor": {"original": "1.00"}, "chave": KEY, "loc": {"id": place["id"]}}
    return await told(scene, "PUT", f"cob/{txid}", body)


async def served_at(scene: Scene, place: dict[str, Any]) -> tuple[int, str | None]:
    """Return what a payer's bank is answered at a location, and the txid it finds there."""
    answer = await scene.transport.request("GET", f"https://{place['location']}", {}, b"", 5)
    if answer.status != 200:
        return answer.status, None
    return answer.status, json.loads(unpadded(answer.body.split(b".")[1]))["txid"]


def unpadded(text: bytes) -> bytes:
    return urlsafe_b64decode(text + b"=" * (-len(text) % 4))


def number(text: str) -> int:
    return int.from_bytes(unpadded(text.encode()))


# The bank's clock


async def test_time_that_passes_at_the_bank_alone_is_kept(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as scene:
        charge = await scene.receiver().create_charge(scene.request(expires_in_s=60))
        assert (await scene.sim("POST", "clock", {"advance_seconds": 61}))["now"] == "2026-03-07T15:31:01.000Z"
        with pytest.raises(KernelRefused):
            await scene.bank.pay(charge.txid)
    async with in_process(tmp_path, clock, SeededIds(8, clock)) as scene:
        made = await scene.receiver().create_charge(scene.request())
        assert made.created_at == after(START, 61 * SECOND)
        for wrong in (-1, "60", 100 * 366 * 86_400):
            assert (await scene.sim_raw("POST", "clock", {"advance_seconds": wrong})).status in (400, 422)
        await scene.sim("POST", "reset")
        assert (await scene.sim("POST", "clock", {"advance_seconds": 0}))["now"] == "2026-03-07T15:30:00.000Z"


# Restarts and other processes


async def test_what_is_due_survives_a_restart(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as before:
        await before.receiver().ensure_webhook(KEY, HOOK)
        charge = await before.receiver().create_charge(before.request(10001))
        location = await before.transport.request("GET", f"https://{charge.location}", {}, b"", 5)
    clock.advance(SECOND)
    async with in_process(tmp_path, clock, SeededIds(8, clock)) as scene:
        assert await scene.tick() == 1
        paid = await scene.receiver().get_charge(charge.txid)
        assert paid is not None
        assert paid.state is ChargeState.PAID
        other = await scene.receiver().create_charge(scene.request())
        again = await scene.transport.request("GET", f"https://{other.location}", {}, b"", 5)
    assert key_id(again.body) == key_id(location.body)


def key_id(jws: bytes) -> str:
    return str(json.loads(unpadded(jws.split(b".")[0]))["kid"])


async def test_two_processes_share_the_books_and_announce_once(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SystemIds()) as one, in_process(tmp_path, clock, SystemIds()) as two:
        await one.receiver().ensure_webhook(KEY, HOOK)
        charge = await one.receiver().create_charge(one.request())
        await two.bank.pay(charge.txid)
        assert sum(await asyncio.gather(one.tick(), two.tick())) == 1
        found = await one.receiver().get_charge(charge.txid)
        assert found is not None
        assert found.state is ChargeState.PAID


async def test_a_notification_whose_sender_died_is_sent_by_another(tmp_path: Path) -> None:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SystemIds()) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        charge = await scene.receiver().create_charge(scene.request())
        await scene.bank.pay(charge.txid)
        died = asyncio.create_task(scene.bank.tick(never))
        await asyncio.sleep(0)
        died.cancel()
        await asyncio.gather(died, return_exceptions=True)
        assert await pass_time(scene, 29) == 0
        assert await pass_time(scene, 1) == 1


async def never(url: str, body: bytes) -> int:
    await asyncio.Event().wait()
    return 200


async def test_the_loop_does_what_is_due_and_stops_when_told(tmp_path: Path) -> None:
    async with in_process(tmp_path) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        stop = asyncio.Event()
        running = asyncio.create_task(scene.bank.run(scene.hook, stop))
        charge = await scene.receiver().create_charge(scene.request())
        await scene.bank.pay(charge.txid)
        async with asyncio.timeout(2):
            while not scene.told:  # noqa: ASYNC110 - what is waited for is the bank's doing
                await asyncio.sleep(0.01)
        stop.set()
        async with asyncio.timeout(2):
            await running


async def test_the_bank_alone_announces_over_the_network(tmp_path: Path) -> None:
    told: list[dict[str, Any]] = []

    async def shop(scope: Any, receive: Any, send: Any) -> None:
        message = await receive()
        told.append({"path": scope["path"]} | json.loads(message["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    bank = open_bank(tmp_path, SystemClock(), SystemIds())
    async with served(Standalone(bank), lifespan="on"), served(shop) as shop_url:
        async with in_process(tmp_path) as scene:
            await scene.receiver().ensure_webhook(KEY, f"{shop_url}/hooks/pix/1/token")
            charge = await scene.receiver().create_charge(scene.request())
            await scene.bank.pay(charge.txid)
        async with asyncio.timeout(5):
            while not told:  # noqa: ASYNC110 - what is waited for is another server's doing
                await asyncio.sleep(0.02)
    assert told[0]["path"] == "/hooks/pix/1/token/pix"
    assert told[0]["pix"][0]["txid"] == charge.txid
    bank.close()


@pytest.mark.checklist("L23")
async def test_two_runs_with_one_seed_are_the_same(tmp_path: Path) -> None:
    async def run(folder: Path) -> list[Any]:
        clock = ManualClock(START)
        async with in_process(folder, clock, SeededIds(7, clock)) as scene:
            await scene.receiver().ensure_webhook(KEY, HOOK)
            charges = [await scene.receiver().create_charge(scene.request(amount)) for amount in (10001, 10003)]
            await pass_time(scene, 1)
            return [charges, await receipts(scene), await scene.sim("GET", "requests"), scene.told]

    folders = [tmp_path / "first", tmp_path / "second"]
    for folder in folders:
        folder.mkdir()
    first, second = [await run(folder) for folder in folders]
    assert first == second
