"""Charges with a due date: the adapter and the sandbox bank, held against the Central Bank's document all the way."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.calendar import day_begins, day_ends
from opentill.kernel.clock import HOUR, ManualClock
from opentill.kernel.ids import SystemIds
from opentill.pix import identifiers
from opentill.pix.due import Rate, Terms
from opentill.pix.port import Ambiguous, ChargeState, Denied, DueChargeRequest, Payer, Refused
from opentill.pix.providers.payloads import Payloads
from tests.contract.pix import bacen_document
from tests.contract.pix.scene import BANK_HOST, KEY, Scene, in_process
from tests.contract.pix.test_bacen_document import Witness

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not bacen_document.FILE.exists(), reason="the Central Bank's document is not beside this repository"
    ),
]

DUE_ON = date(2026, 3, 31)
PAYER = Payer("12ABC34501DE35", "Empresa Alfa Ltda")
TERMS = Terms(
    10_000,
    DUE_ON,
    30,
    fine=Rate(2, 300),
    interest=Rate(2, 100),
    discount=Rate(1, until=((date(2026, 3, 20), 500),)),
)


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(day_begins(date(2026, 3, 10)) + 9 * HOUR)  # type: ignore[arg-type]
    async with in_process(tmp_path, clock=clock, ids=SystemIds(clock)) as scene:
        scene.transport = Witness(scene.transport)
        yield scene


def request(scene: Scene, **changed: Any) -> DueChargeRequest:
    txid = identifiers.provider_txid(identifiers.charge_id(scene.ids))
    address = ("Rua Um, 10", "Sao Paulo", "SP", "01001000")
    whole = DueChargeRequest(txid, KEY, TERMS, PAYER, address, message="Fatura 77", info=(("Fatura", "77"),))
    return replace(whole, **changed)


def on(scene: Scene, day: date) -> None:
    """Let it become noon of a day."""
    clock = scene.clock
    assert isinstance(clock, ManualClock)
    clock.advance(day_begins(day) + 12 * HOUR - clock.now())


async def test_a_charge_with_a_due_date_is_made_read_and_removed(scene: Scene) -> None:
    receiver, asked = scene.receiver(), request(scene)
    made = await receiver.create_due_charge(asked)

    assert (made.txid, made.state, made.amount_centavos, made.key) == (asked.txid, ChargeState.ACTIVE, 10_000, KEY)
    assert made.expires_at == day_ends(date(2026, 4, 30))
    assert made.code is not None
    assert await receiver.get_due_charge(asked.txid) == made
    assert await receiver.get_charge(asked.txid) is None  # another kind, another list
    assert (await receiver.create_due_charge(asked)).revision == 1  # a second PUT updates
    assert (await receiver.cancel_due_charge(asked.txid)).state is ChargeState.CANCELLED
    assert (await receiver.cancel_due_charge(asked.txid)).state is ChargeState.CANCELLED
    assert await receiver.get_due_charge(request(scene).txid) is None


@pytest.mark.checklist("L19")
@pytest.mark.parametrize(
    ("day", "paid", "parts"),
    [
        (date(2026, 3, 20), 9_500, {"original": "100.00", "desconto": "5.00"}),
        (date(2026, 3, 21), 10_000, {"original": "100.00"}),
        (date(2026, 4, 2), 10_500, {"original": "100.00", "multa": "3.00", "juros": "2.00"}),
    ],
)
async def test_what_is_paid_is_what_the_day_makes_of_it(
    scene: Scene, day: date, paid: int, parts: dict[str, str]
) -> None:
    receiver, asked = scene.receiver(), request(scene)
    made = await receiver.create_due_charge(asked)
    on(scene, day)
    decoded = await Payloads(scene.transport, frozenset({BANK_HOST}), scene.clock).decode(made.code or "", day)
    assert (decoded.amount_centavos, decoded.payable) == (paid, True)

    [e2e_id] = await scene.bank.pay(asked.txid)

    receipt = await receiver.get_receipt(e2e_id)
    assert receipt is not None
    assert (receipt.amount_centavos, receipt.txid) == (paid, asked.txid)
    found = await receiver.get_due_charge(asked.txid)
    assert found is not None
    assert (found.state, [one.e2e_id for one in found.receipts]) == (ChargeState.PAID, [e2e_id])
    answer = await scene.bank_call("GET", f"/api/v2/pix/{e2e_id}")
    assert json.loads(answer.body)["componentesValor"] == {name: {"valor": text} for name, text in parts.items()}


@pytest.mark.checklist("L19")
async def test_after_its_last_day_it_has_expired_and_nobody_can_pay_it(scene: Scene) -> None:
    receiver = scene.receiver()
    asked = request(scene, terms=replace(TERMS, due_on=date(2026, 9, 5), days_after=0, discount=None))  # a Saturday
    made = await receiver.create_due_charge(asked)
    assert made.expires_at == day_ends(date(2026, 9, 8))  # the Monday is Independence Day
    on(scene, date(2026, 9, 8))
    found = await receiver.get_due_charge(asked.txid)
    assert found is not None
    assert found.state is ChargeState.ACTIVE
    on(scene, date(2026, 9, 9))
    found = await receiver.get_due_charge(asked.txid)
    assert found is not None
    assert found.state is ChargeState.EXPIRED
    with pytest.raises(Exception, match="cannot be paid"):
        await scene.bank.pay(asked.txid)


async def test_the_signed_payload_of_a_day_follows_the_document(scene: Scene) -> None:
    made = await scene.receiver().create_due_charge(request(scene))
    answer = await scene.transport.request("GET", f"https://{made.location}?DPP=2026-04-02", {}, b"", 5)
    payload = answer.body.split(b".")[1]
    document = json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    assert bacen_document.faults(bacen_document.named("CobVPayload"), document) == []
    assert document["valor"] == {"original": "100.00", "multa": "3.00", "juros": "2.00", "final": "105.00"}
    for wrong in ("2026-03-09", "2026-05-01", "tomorrow"):
        refused = await scene.transport.request("GET", f"https://{made.location}?DPP={wrong}", {}, b"", 5)
        assert refused.status == 400


WRONG = {
    "due yesterday": {"calendario": {"dataDeVencimento": "2026-03-09"}},
    "no due date": {"calendario": {}},
    "a day that is none": {"calendario": {"dataDeVencimento": "2026-02-30"}},
    "fewer days than none": {"calendario": {"dataDeVencimento": "2026-03-31", "validadeAposVencimento": -1}},
    "no payer": {"devedor": None},
    "a payer without a name": {"devedor": {"cpf": "12345678909"}},
    "a foreign key": {"chave": "fulano@example.com"},
    "nothing": {"valor": {"original": "0.00"}},
    "a number": {"valor": {"original": 100}},
    "a fine of no kind": {"valor": {"original": "100.00", "multa": {"modalidade": 3, "valorPerc": "1.00"}}},
    "interest of no kind": {"valor": {"original": "100.00", "juros": {"modalidade": 9, "valorPerc": "1.00"}}},
    "a rebate of all": {"valor": {"original": "100.00", "abatimento": {"modalidade": 2, "valorPerc": "100.00"}}},
    "a discount of all": {
        "valor": {
            "original": "100.00",
            "desconto": {"modalidade": 1, "descontoDataFixa": [{"data": "2026-03-20", "valorPerc": "100.00"}]},
        }
    },
    "a discount after the due date": {
        "valor": {
            "original": "100.00",
            "desconto": {"modalidade": 1, "descontoDataFixa": [{"data": "2026-04-01", "valorPerc": "1.00"}]},
        }
    },
    "a discount with a rate and dates": {
        "valor": {"original": "100.00", "desconto": {"modalidade": 3, "descontoDataFixa": [], "valorPerc": "1.00"}}
    },
    "a discount without a rate": {"valor": {"original": "100.00", "desconto": {"modalidade": 5}}},
    "a discount by date with a rate": {
        "valor": {"original": "100.00", "desconto": {"modalidade": 2, "valorPerc": "1.00"}}
    },
}


@pytest.mark.parametrize("change", WRONG.values(), ids=WRONG)
async def test_what_the_document_forbids_is_refused_with_a_violation(scene: Scene, change: dict[str, Any]) -> None:
    good = {
        "calendario": {"dataDeVencimento": "2026-03-31"},
        "devedor": {"cpf": "12345678909", "nome": "Ana Teste"},
        "valor": {"original": "100.00"},
        "chave": KEY,
    }
    path = f"/api/v2/cobv/{request(scene).txid}"
    answer = await scene.bank_call("PUT", path, good | change)
    assert answer.status == 400
    problem = json.loads(answer.body)
    assert problem["type"].endswith("/CobVOperacaoInvalida")
    assert problem["violacoes"]
    assert (await scene.bank_call("PUT", path, good)).status == 201


async def test_a_charge_is_changed_in_part_listed_and_its_revisions_kept(scene: Scene) -> None:
    asked = request(scene)
    await scene.receiver().create_due_charge(asked)
    path = f"/api/v2/cobv/{asked.txid}"
    changed = await scene.bank_call("PATCH", path, {"valor": {"original": "90.00"}})
    assert json.loads(changed.body)["valor"]["multa"] == {"modalidade": 2, "valorPerc": "3.00"}
    assert json.loads((await scene.bank_call("GET", f"{path}?revisao=0")).body)["valor"]["original"] == "100.00"
    window = "inicio=2026-03-10T00:00:00Z&fim=2026-03-11T00:00:00Z"
    listed = json.loads((await scene.bank_call("GET", f"/api/v2/cobv?{window}")).body)
    assert [one["txid"] for one in listed["cobs"]] == [asked.txid]
    assert json.loads((await scene.bank_call("GET", f"/api/v2/cob?{window}")).body)["cobs"] == []


@pytest.mark.parametrize(("fault", "outcome"), [("timeout_after", Ambiguous), ("http_400", Refused)])
async def test_a_lost_answer_is_ambiguous_and_a_repeat_finds_what_was_made(
    scene: Scene, fault: str, outcome: type[Exception]
) -> None:
    asked = request(scene)
    witness = scene.transport
    scene.transport = witness.inner  # type: ignore[attr-defined] - a broken answer follows no document
    await scene.fault("charge.create", fault)
    with pytest.raises(outcome):
        await scene.receiver().create_due_charge(asked)
    scene.transport = witness
    assert (await scene.receiver().create_due_charge(asked)).state is ChargeState.ACTIVE


async def test_a_bank_that_made_another_charge_is_not_believed(scene: Scene) -> None:
    asked = request(scene)
    await scene.fault("charge.create", "wrong_amount")
    with pytest.raises(Refused, match="another charge"):
        await scene.receiver().create_due_charge(asked)
    found = await scene.receiver().get_due_charge(asked.txid)
    assert found is not None
    assert found.state is ChargeState.CANCELLED


async def test_a_bank_that_does_not_offer_them_is_not_asked(scene: Scene) -> None:
    receiver = scene.receiver(features={"cobv": False})
    assert not receiver.capabilities.due_date
    with pytest.raises(Denied):
        await receiver.create_due_charge(request(scene))


def test_there_are_thirty_days_in_which_it_may_still_be_paid() -> None:
    assert TERMS.last_day == DUE_ON + timedelta(days=30)
