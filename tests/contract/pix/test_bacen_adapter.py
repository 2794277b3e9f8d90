"""The BACEN adapter against the sandbox bank: the same conduct inside this process and over the network."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.clock import SECOND, Instant, ManualClock, SystemClock, after
from opentill.kernel.ids import SystemIds
from opentill.kernel.secret import Secret
from opentill.pix import brcode
from opentill.pix.port import (
    Ambiguous,
    ChargeState,
    Denied,
    Hint,
    HintKind,
    NotSent,
    Payer,
    RawRequest,
    Refused,
    UnreadableNotification,
)
from opentill.pix.providers.bacen import BacenReceiver, Credentials
from opentill.pix.providers.transport import RawAnswer
from tests.contract.pix.scene import CREDENTIALS, HOOK, KEY, OTHER_KEY, Scene, in_process, over_loopback

pytestmark = pytest.mark.anyio


@pytest.fixture(params=[in_process, over_loopback], ids=["in-process", "network"])
async def scene(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Scene]:
    async with request.param(tmp_path) as scene:
        yield scene


@pytest.mark.checklist("L8")
async def test_a_charge_is_made_as_asked(scene: Scene) -> None:
    asked = scene.request(
        message="Pedido 1001", payer=Payer("12345678909", "Ana Teste"), info=(("Pedido", "1001"), ("Loja", "Café"))
    )
    charge = await scene.receiver().create_charge(asked)

    assert (charge.txid, charge.amount_centavos, charge.key) == (asked.txid, 3000, KEY)
    assert (charge.state, charge.provider_status, charge.revision) == (ChargeState.ACTIVE, "ATIVA", 0)
    assert charge.expires_at == after(charge.created_at, 3600 * SECOND)
    assert charge.code is not None
    code = brcode.parse(charge.code)
    assert (code.url, code.name, code.city) == (charge.location, "Loja Exemplo", "Sao Paulo")


@pytest.mark.checklist("L8")
async def test_a_charge_reads_back_as_it_was_made(scene: Scene) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    assert await receiver.get_charge(made.txid) == made


async def test_a_charge_nobody_made_is_not_there(scene: Scene) -> None:
    assert await scene.receiver().get_charge(scene.request().txid) is None


@pytest.mark.checklist("L8")
async def test_a_removed_charge_is_cancelled(scene: Scene) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    cancelled = await receiver.cancel_charge(made.txid)
    assert (cancelled.state, cancelled.revision) == (ChargeState.CANCELLED, 1)
    again = await receiver.cancel_charge(made.txid)
    assert again.state is ChargeState.CANCELLED


async def test_a_payment_wins_over_a_cancel(scene: Scene) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    [e2e_id] = await scene.bank.pay(made.txid)
    found = await receiver.cancel_charge(made.txid)
    assert found.state is ChargeState.PAID
    assert [receipt.e2e_id for receipt in found.receipts] == [e2e_id]


async def test_cancelling_what_the_bank_does_not_know_is_refused(scene: Scene) -> None:
    with pytest.raises(Refused) as refused:
        await scene.receiver().cancel_charge(scene.request().txid)
    assert refused.value.code == "not_found"


@pytest.mark.checklist("L8")
async def test_a_receipt_says_what_arrived_and_from_whom(scene: Scene) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    order = {"txid": made.txid, "payer": {"name": "Beto Teste", "document": "11144477735"}, "message": "obrigado"}
    [e2e_id] = (await scene.sim("POST", "pay", order))["e2e_ids"]

    receipt = await receiver.get_receipt(e2e_id)
    assert receipt is not None
    assert (receipt.e2e_id, receipt.txid, receipt.amount_centavos, receipt.key) == (e2e_id, made.txid, 3000, KEY)
    assert (receipt.payer.name, receipt.payer.document) == ("Beto Teste", "11144477735")
    assert (receipt.payer.ispb, receipt.message) == ("99999002", "obrigado")
    found = await receiver.get_charge(made.txid)
    assert found is not None
    assert found.receipts == (receipt,)


@pytest.mark.checklist("L6")
async def test_an_end_to_end_id_in_another_case_is_another_receipt(scene: Scene) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    order = {"txid": made.txid, "e2e_id": "E99999002202603071530abcdef12345"}
    await scene.sim("POST", "pay", order)
    assert await receiver.get_receipt("E99999002202603071530ABCDEF12345") is None
    order = {"key": KEY, "amount": 100, "e2e_id": "E99999002202603071530ABCDEF12345"}
    await scene.sim("POST", "pay", order)
    other = await receiver.get_receipt("E99999002202603071530ABCDEF12345")
    assert other is not None
    assert (other.amount_centavos, other.txid) == (100, None)


@pytest.mark.checklist("L8")
async def test_a_list_of_three_pages_holds_every_receipt_once(scene: Scene) -> None:
    receiver, start = scene.receiver(), scene.clock.now()
    for _ in range(3):
        made = await receiver.create_charge(scene.request())
        await scene.bank.pay(made.txid, count=70)
    await scene.sim("POST", "pay", {"key": OTHER_KEY, "amount": 5})

    seen, cursors, cursor = [], [], None
    while True:
        page = await receiver.list_receipts(Instant(start - SECOND), after(scene.clock.now(), SECOND), cursor)
        seen += [receipt.e2e_id for receipt in page.items]
        cursors.append(page.cursor)
        cursor = page.cursor
        if cursor is None:
            break
    assert cursors == ["1", "2", None]
    assert (len(seen), len(set(seen))) == (211, 211)


async def test_a_list_can_be_limited_to_receipts_with_a_txid(scene: Scene) -> None:
    receiver, start = scene.receiver(), Instant(scene.clock.now() - SECOND)
    made = await receiver.create_charge(scene.request())
    [with_txid] = await scene.bank.pay(made.txid)
    [without] = (await scene.sim("POST", "pay", {"key": KEY, "amount": 5}))["e2e_ids"]
    end = after(scene.clock.now(), SECOND)

    async def listed(txid_present: bool | None) -> set[str]:
        page = await receiver.list_receipts(start, end, txid_present=txid_present)
        return {receipt.e2e_id for receipt in page.items}

    assert await listed(None) == {with_txid, without}
    assert await listed(True) == {with_txid}
    assert await listed(False) == {without}


@pytest.mark.checklist("L8")
async def test_a_webhook_is_registered_once_and_put_back_when_it_differs(scene: Scene) -> None:
    receiver = scene.receiver()
    await receiver.ensure_webhook(OTHER_KEY, HOOK)
    await receiver.ensure_webhook(OTHER_KEY, HOOK)
    await receiver.ensure_webhook(OTHER_KEY, HOOK + "2")
    assert [call.operation for call in scene.calls].count("webhook.write") == 2

    made = await receiver.create_charge(scene.request(key=OTHER_KEY))
    [e2e_id] = await scene.bank.pay(made.txid)
    assert await scene.tick() == 1
    [(url, document)] = scene.told
    assert url == HOOK + "2/pix"
    hints = receiver.parse_notification(RawRequest(json.dumps(document).encode(), {}))
    assert hints == [Hint(HintKind.RECEIPT, made.txid, e2e_id)]


async def test_a_webhook_for_a_foreign_key_is_refused(scene: Scene) -> None:
    with pytest.raises(Refused, match="WebhookOperacaoInvalida"):
        await scene.receiver().ensure_webhook("fulano@example.com", HOOK)


# Answers and what they mean (pix-rail.md §6.6)

WRITES = {
    "timeout_before": Ambiguous,
    "timeout_after": Ambiguous,
    "truncated": Ambiguous,
    "html_200": Ambiguous,
    "http_500": Ambiguous,
    "http_503": Ambiguous,
    "http_429": NotSent,
    "http_400": Refused,
    "http_409": Refused,
}


@pytest.mark.parametrize("fault", WRITES)
@pytest.mark.checklist("L16", "L8")
async def test_a_creation_that_goes_wrong_ends_in_its_class(scene: Scene, fault: str) -> None:
    asked = scene.request()
    await scene.fault("charge.create", fault)
    with pytest.raises(WRITES[fault]):
        await scene.receiver().create_charge(asked)
    held = await scene.state(asked.txid)
    assert (held is not None) == (fault in ("timeout_after", "truncated"))


READS = {
    "timeout_after": NotSent,
    "truncated": NotSent,
    "html_200": NotSent,
    "http_500": NotSent,
    "http_503": NotSent,
    "http_429": NotSent,
    "http_400": Refused,
}


@pytest.mark.parametrize("fault", READS)
@pytest.mark.checklist("L8")
async def test_a_read_that_goes_wrong_ends_in_its_class(scene: Scene, fault: str) -> None:
    receiver = scene.receiver()
    made = await receiver.create_charge(scene.request())
    await scene.fault("charge.read", fault)
    with pytest.raises(READS[fault]):
        await receiver.get_charge(made.txid)
    assert await receiver.get_charge(made.txid) == made


async def test_a_bank_that_asks_for_a_pause_says_how_long(scene: Scene) -> None:
    await scene.fault("charge.create", "http_429")
    with pytest.raises(NotSent) as not_sent:
        await scene.receiver().create_charge(scene.request())
    assert not_sent.value.retry_after_s == 1


@pytest.mark.checklist("L16")
async def test_a_creation_refused_as_existing_is_read_and_succeeds(scene: Scene) -> None:
    await scene.fault("charge.create", "duplicate")
    charge = await scene.receiver().create_charge(scene.request())
    assert charge.state is ChargeState.ACTIVE
    assert [call.outcome for call in scene.calls] == ["refused", "ok"]


@pytest.mark.checklist("L16")
async def test_a_creation_under_a_txid_of_another_charge_is_refused(scene: Scene) -> None:
    receiver, first = scene.receiver(), scene.request()
    await receiver.create_charge(first)
    await receiver.cancel_charge(first.txid)
    with pytest.raises(Refused) as refused:
        await receiver.create_charge(scene.request(amount_centavos=9900, txid=first.txid))
    assert "ATIVA" in refused.value.violations[0]


async def test_a_key_of_somebody_else_is_refused_with_the_banks_words(scene: Scene) -> None:
    with pytest.raises(Refused) as refused:
        await scene.receiver().create_charge(scene.request(key="fulano@example.com"))
    assert refused.value.code == "provider_error"
    assert refused.value.detail.startswith("CobOperacaoInvalida: ")
    assert "cob.chave" in refused.value.violations[0]


async def test_an_answer_about_another_amount_is_removed_and_refused(scene: Scene) -> None:
    asked = scene.request()
    await scene.fault("charge.create", "wrong_amount")
    with pytest.raises(Refused, match="another charge"):
        await scene.receiver().create_charge(asked)
    held = await scene.state(asked.txid)
    assert held is not None
    assert held["status"] == "REMOVIDA_PELO_USUARIO_RECEBEDOR"


@pytest.mark.checklist("L9", "L8")
async def test_one_refused_token_is_replaced_and_two_deny(scene: Scene) -> None:
    receiver = scene.receiver()
    await scene.fault("charge.create", "http_401")
    assert (await receiver.create_charge(scene.request())).state is ChargeState.ACTIVE
    await scene.fault("charge.create", "http_401", count=2)
    with pytest.raises(Denied):
        await receiver.create_charge(scene.request())


async def test_wrong_credentials_are_denied_and_not_tried_again_at_once(scene: Scene) -> None:
    receiver = scene.receiver(Credentials("shop", Secret("wrong")))
    for _ in range(3):
        with pytest.raises(Denied):
            await receiver.get_charge(scene.request().txid)
    assert await token_calls(scene) == 1


async def test_credentials_go_in_a_form_where_the_profile_says_so(scene: Scene) -> None:
    receiver = scene.receiver(token_auth="form")
    assert (await receiver.create_charge(scene.request())).state is ChargeState.ACTIVE


@pytest.mark.checklist("L9")
@pytest.mark.checklist("L9")
async def test_fifty_calls_at_once_ask_for_one_token(scene: Scene) -> None:
    receiver = scene.receiver()
    await asyncio.gather(*(receiver.get_charge(scene.request().txid) for _ in range(50)))
    assert await token_calls(scene) == 1


@pytest.mark.checklist("L9")
async def test_a_token_call_that_fails_is_not_sent_and_waits(scene: Scene) -> None:
    receiver = scene.receiver()
    await scene.fault("token", "html_200")
    with pytest.raises(NotSent):
        await receiver.create_charge(scene.request())
    with pytest.raises(NotSent) as paused:
        await receiver.create_charge(scene.request())
    assert paused.value.retry_after_s in (4, 5)
    assert await token_calls(scene) == 1


@pytest.mark.checklist("L9", "L16")
async def test_fewer_scopes_than_asked_switch_the_feature_off(scene: Scene) -> None:
    account = {
        "client_id": "narrow",
        "client_secret": "s",
        "document": "12ABC34501DE35",
        "name": "Loja",
        "city": "Natal",
        "scopes": ["cob.read", "cob.write"],
    }
    await scene.sim("POST", "accounts", account)
    receiver = scene.receiver(Credentials("narrow", Secret("s")))
    assert receiver.capabilities.list_receipts
    assert await receiver.get_charge(scene.request().txid) is None
    assert receiver.capabilities.dynamic
    assert not receiver.capabilities.list_receipts
    with pytest.raises(Denied):
        await receiver.get_receipt("E" + "0" * 31)


async def test_a_scope_the_bank_finds_missing_is_denied(scene: Scene) -> None:
    receiver = scene.receiver(scopes=("cob.write",))
    with pytest.raises(Denied):
        await receiver.get_charge(scene.request().txid)


@pytest.mark.checklist("L8")
async def test_a_bank_that_is_not_there_was_not_asked(tmp_path: Path) -> None:
    async with over_loopback(tmp_path) as scene:
        with pytest.raises(NotSent):
            await scene.receiver(base_url="http://127.0.0.1:9/api/v2").create_charge(scene.request())


async def test_every_call_leaves_a_row_without_secrets(scene: Scene) -> None:
    receiver, asked = scene.receiver(), scene.request()
    await receiver.create_charge(asked)
    [call] = scene.calls
    assert (call.operation, call.our_id, call.outcome, call.status) == ("charge.create", asked.txid, "ok", 201)
    assert call.correlation_id
    assert call.duration_us > 0
    assert json.loads(call.request_body)["chave"] == KEY
    assert b"secret" not in call.request_body + call.answer_body


async def token_calls(scene: Scene) -> int:
    requests = (await scene.sim("GET", "requests"))["requests"]
    return sum(request["path"] == "/oauth/token" for request in requests)


# Answers of other banks, said by a transport that says what it is told


class Said:
    """A transport that answers a token call and then what it was given."""

    def __init__(self, *answers: RawAnswer) -> None:
        self.answers = list(answers)
        self.asked: list[tuple[str, str]] = []

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        self.asked.append((method, url))
        if url.endswith("/oauth/token"):
            return answer({"access_token": "t", "expires_in": "3600"})
        return self.answers.pop(0)


def answer(document: Any, status: int = 200, **headers: str) -> RawAnswer:
    return RawAnswer(status, headers, json.dumps(document).encode())


CREATED_AT = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z
COB = {
    "calendario": {"criacao": "2026-03-07T15:30:00Z", "expiracao": 60},
    "txid": "t" * 27,
    "revisao": 0,
    "status": "ATIVA",
    "valor": {"original": "30.00"},
    "chave": KEY,
    "loc": {"id": 1, "location": "pix.example.com/qr/v2/abc"},
}


async def read_as(document: dict[str, Any], *, now: Instant = CREATED_AT, **changed: Any) -> Any:
    async with scratch(Said(answer(COB | document)), now, **changed) as receiver:
        return await receiver.get_charge("t" * 27)


class scratch:  # noqa: N801 - reads as a function
    """An adapter over a transport, at a given instant."""

    def __init__(self, transport: Said, now: Instant = CREATED_AT, **changed: Any) -> None:
        scene = Scene(None, transport, "https://bank.example", ManualClock(now), SystemIds())  # type: ignore[arg-type]
        self._receiver = scene.receiver(CREDENTIALS, **changed)

    async def __aenter__(self) -> BacenReceiver:
        return self._receiver

    async def __aexit__(self, *_: object) -> None:
        return None


@pytest.mark.parametrize(
    ("status", "past", "state"),
    [
        ("ATIVA", False, "active"),
        ("ATIVA", True, "expired"),
        ("CONCLUIDA", True, "paid"),
        ("REMOVIDA_PELO_USUARIO_RECEBEDOR", False, "cancelled"),
        ("REMOVIDO_PELO_USUARIO_RECEBEDOR", False, "cancelled"),
        ("REMOVIDA_PELO_PSP", False, "cancelled"),
        ("REMOVIDA_PELO_PSP", True, "expired"),
        ("REMOVIDO_PELO_PSP", True, "expired"),
        ("INVENTADA", False, "unknown"),
    ],
)
@pytest.mark.checklist("L18", "L16")
async def test_a_status_word_means_a_state(status: str, past: bool, state: str) -> None:
    now = after(CREATED_AT, 60 * SECOND) if past else CREATED_AT
    charge = await read_as({"status": status}, now=now)
    assert (charge.state, charge.provider_status) == (state, status)


@pytest.mark.parametrize("amount", ["30.00", "30.0", "30", 30, 30.0])
@pytest.mark.checklist("L16")
async def test_an_amount_is_read_in_whatever_form_a_bank_writes_it(amount: object) -> None:
    assert (await read_as({"valor": {"original": amount}})).amount_centavos == 3000


@pytest.mark.parametrize("amount", ["30.001", 30.001, "30,00", "-30.00", "", None, True, [], "1e3", "٣"])
async def test_an_amount_nobody_can_read_makes_a_failed_read(amount: object) -> None:
    with pytest.raises(NotSent):
        await read_as({"valor": {"original": amount}})


async def test_an_amount_that_floats_cannot_hold_is_read_exactly() -> None:
    body = json.dumps(COB).replace('"30.00"', "1000000000.07").encode()
    async with scratch(Said(RawAnswer(200, {}, body))) as receiver:
        charge = await receiver.get_charge("t" * 27)
    assert charge is not None
    assert charge.amount_centavos == 100_000_000_007


async def test_a_bank_may_send_no_code_or_under_another_name() -> None:
    charge = await read_as({})
    assert (charge.code, charge.location) == (None, "pix.example.com/qr/v2/abc")
    code = brcode.build_dynamic(url="pix.example.com/qr/v2/abc", name="Loja", city="Natal")
    named = await read_as({"brcode": code}, response_aliases={"pixCopiaECola": ("brcode",)})
    assert named.code == code


async def test_a_code_that_leads_elsewhere_is_not_taken() -> None:
    code = brcode.build_dynamic(url="pix.example.com/qr/v2/other", name="Loja", city="Natal")
    with pytest.raises(NotSent, match="another location"):
        await read_as({"pixCopiaECola": code})


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b"[" * 100_000, b'{"a":' + b"9" * 5000 + b"}", b"\xff"])
async def test_a_body_that_is_no_document_is_a_failed_read(body: bytes) -> None:
    async with scratch(Said(RawAnswer(200, {}, body))) as receiver:
        with pytest.raises(NotSent):
            await receiver.get_charge("t" * 27)


@pytest.mark.parametrize("status", [301, 302, 307])
@pytest.mark.checklist("L9")
async def test_a_redirect_is_not_followed(status: int) -> None:
    said = Said(RawAnswer(status, {"location": "https://evil.example/"}, b""))
    async with scratch(said) as receiver:
        with pytest.raises(NotSent):
            await receiver.get_charge("t" * 27)
    assert len(said.asked) == 2


async def test_a_list_goes_on_past_an_item_nobody_can_read() -> None:
    good = {"endToEndId": "E" * 32, "valor": 1, "horario": "2026-03-07T12:30:00.5-03:00", "gnExtras": {"pagador": {}}}
    document = {"parametros": {"paginacao": {"quantidadeDePaginas": 1}}, "pix": [{"valor": "x"}, good, "?"]}
    async with scratch(Said(answer(document))) as receiver:
        page = await receiver.list_receipts(CREATED_AT, CREATED_AT)
    [receipt] = page.items
    assert (page.unreadable, page.cursor) == (2, None)
    assert receipt.settled_at == CREATED_AT + SECOND // 2
    assert (receipt.txid, receipt.payer.ispb) == (None, None)


async def test_money_listed_in_a_charge_is_the_charges_whatever_it_says_of_itself() -> None:
    listed = {"endToEndId": "E" * 32, "valor": "30.00", "horario": "2026-03-07T15:30:00Z"}
    for pix in ([listed], listed, [listed | {"txid": "another"}]):
        [receipt] = (await read_as({"pix": pix})).receipts
        assert (receipt.txid, receipt.key) == ("t" * 27, None)


async def test_what_no_database_can_hold_is_left_out_of_texts_and_makes_no_name() -> None:
    good = {"endToEndId": "E" * 32, "valor": "1.00", "horario": "2026-03-07T15:30:00Z", "txid": "a\x00b"}
    odd = [good | {"endToEndId": name} for name in ("E\x00", "E\ud800", "É" * 32, "E" * 101, "")]
    nothing, huge = good | {"valor": "0.00"}, good | {"valor": "1E+999999999"}
    named = good | {"pagador": {"nome": "Ana\x00 \ud83dTeste", "cpf": "\x00"}}
    document = {"parametros": {"paginacao": {"quantidadeDePaginas": 1}}, "pix": [*odd, nothing, huge, named]}
    body = json.dumps(document).replace('"1E+999999999"', "1E+999999999").encode()
    async with scratch(Said(RawAnswer(200, {}, body))) as receiver:
        page = await receiver.list_receipts(CREATED_AT, CREATED_AT)
    [receipt] = page.items
    assert page.unreadable == 7
    assert (receipt.txid, receipt.payer.name, receipt.payer.document) == (None, "Ana Teste", None)


@pytest.mark.parametrize("items", [5, "abc", True])
async def test_receipts_that_are_no_list_make_a_failed_read(items: object) -> None:
    with pytest.raises(NotSent):
        await read_as({"pix": items})


@pytest.mark.parametrize("document", [{}, {"pix": []}, {"parametros": {}}])
async def test_a_list_without_its_frame_is_a_failed_read(document: dict[str, Any]) -> None:
    async with scratch(Said(answer(document))) as receiver:
        with pytest.raises(NotSent):
            await receiver.list_receipts(CREATED_AT, CREATED_AT)


@pytest.mark.parametrize(
    ("body", "hints"),
    [
        ({"pix": [{"endToEndId": "E1", "txid": "a"}, {"endToEndId": "E2"}]}, [("receipt", "E1"), ("receipt", "E2")]),
        ({"pix": {"endToEndId": "E1", "novo": 1}}, [("receipt", "E1")]),
        ({"pix": [{"endToEndId": "E1"}, {"endToEndId": "E1"}]}, [("receipt", "E1")]),
        ({"pix": [{"txid": "a"}]}, [("charge", "a")]),
        ({"pix": ["?", {"endToEndId": 5}, {"endToEndId": "E1"}]}, [("receipt", "E1")]),
        ({"rec": [{"idRec": "RR1"}]}, []),
        ({}, []),
    ],
)
@pytest.mark.checklist("L12")
async def test_a_notification_says_what_to_read(body: dict[str, Any], hints: list[tuple[str, str]]) -> None:
    async with scratch(Said()) as receiver:
        found = receiver.parse_notification(RawRequest(json.dumps(body).encode(), {}))
    assert [(hint.kind, hint.ref) for hint in found] == hints


@pytest.mark.parametrize("body", [b"", b"ok", b"[]", b'{"pix": 1}', b"\xff\xfe"])
@pytest.mark.checklist("L12")
async def test_a_notification_that_is_no_document_is_told_apart(body: bytes) -> None:
    async with scratch(Said()) as receiver:
        with pytest.raises(UnreadableNotification):
            receiver.parse_notification(RawRequest(body, {}))


async def test_a_token_is_renewed_a_minute_early() -> None:
    clock = ManualClock(SystemClock().now())
    said = Said(*[answer(COB)] * 3)
    receiver = Scene(None, said, "https://bank.example", clock, SystemIds()).receiver()  # type: ignore[arg-type]
    await receiver.get_charge("t" * 27)
    clock.advance(3539 * SECOND)
    await receiver.get_charge("t" * 27)
    clock.advance(SECOND)
    await receiver.get_charge("t" * 27)
    assert [url.rpartition("/")[2] for _, url in said.asked].count("token") == 2
