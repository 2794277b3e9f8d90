"""Giving back what arrived: the adapter's `devolucao` against the sandbox bank, and the bank's magic amounts."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.clock import DAY, SECOND, Instant, ManualClock
from opentill.kernel.ids import SeededIds
from opentill.pix.port import Ambiguous, CallFailed, HintKind, Nature, RawRequest, Refused, ReturnState
from opentill.pix.providers.bacen.wire import Malformed, read_receipt, read_return
from tests.contract.pix.scene import HOOK, KEY, Scene, in_process

pytestmark = pytest.mark.anyio

START = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        yield scene


async def paid(scene: Scene, amount: int = 3000) -> str:
    """Return the end-to-end id of a charge that was paid and announced."""
    charge = await scene.receiver().create_charge(scene.request(amount))
    [e2e_id] = await scene.bank.pay(charge.txid)
    await scene.tick()
    scene.told.clear()
    return e2e_id


async def executed(scene: Scene, ref: str) -> int:
    """Return how often the bank carried a return out."""
    return sum(row["id"] == ref for row in (await scene.sim("GET", "state"))["returns"])


@pytest.mark.checklist("L8")
async def test_a_return_is_taken_settled_a_second_later_and_announced(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    asked = await receiver.request_return(e2e_id, "PIXRET1", 1000, "Devolução PIX")
    assert (asked.state, asked.amount_centavos, asked.nature) == (ReturnState.PROCESSING, 1000, Nature.ORDINARY)
    assert asked.return_id is not None
    assert asked.return_id.startswith("D99999001")

    assert await scene.passes() == 1
    [(_, body)] = scene.told
    [hint] = receiver.parse_notification(RawRequest(json.dumps(body).encode(), {}))
    assert (hint.kind, hint.ref) == (HintKind.RETURN, e2e_id)

    done = await receiver.get_return(e2e_id, "PIXRET1")
    assert done is not None
    assert (done.state, done.settled_at, done.text) == (ReturnState.COMPLETED, START + SECOND, "Devolução PIX")
    receipt = await receiver.get_receipt(e2e_id)
    assert receipt is not None
    assert receipt.returns == (done,)


async def test_a_return_nobody_made_is_not_there(scene: Scene) -> None:
    assert await scene.receiver().get_return(await paid(scene), "PIXRET1") is None


async def test_a_return_of_a_receipt_nobody_knows_is_refused(scene: Scene) -> None:
    with pytest.raises(Refused) as refused:
        await scene.receiver().request_return("E99999002202603071530abcdef12345", "PIXRET1", 100, "x")
    assert refused.value.code == "not_found"


@pytest.mark.checklist("L17")
async def test_several_returns_fit_as_long_as_their_sum_does(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    await receiver.request_return(e2e_id, "PIXRET1", 1000, "x")
    await receiver.request_return(e2e_id, "PIXRET2", 2000, "x")
    with pytest.raises(Refused) as refused:
        await receiver.request_return(e2e_id, "PIXRET3", 1, "x")
    assert (refused.value.code, refused.value.rail_code) == ("invalid_amount", "AM09")


@pytest.mark.checklist("L17")
async def test_ninety_days_pass_and_a_second_more_is_too_late(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(90 * DAY)
    await receiver.request_return(e2e_id, "PIXRET1", 100, "x")
    scene.clock.advance(SECOND)
    with pytest.raises(Refused) as refused:
        await receiver.request_return(e2e_id, "PIXRET2", 100, "x")
    assert (refused.value.code, refused.value.rail_code) == ("return_window_expired", "DT05")


async def test_the_same_return_again_is_the_same_and_another_under_its_name_is_a_doubt(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    first = await receiver.request_return(e2e_id, "PIXRET1", 1000, "x")
    assert await receiver.request_return(e2e_id, "PIXRET1", 1000, "x") == first
    with pytest.raises(Ambiguous):  # money went back under this name: nobody may take that for a refusal
        await receiver.request_return(e2e_id, "PIXRET1", 1001, "x")
    assert await executed(scene, "PIXRET1") == 1


@pytest.mark.parametrize(
    ("amount", "code", "rail_code"),
    [(113, "provider_error", None), (116, "return_window_expired", "DT05")],
)
async def test_a_magic_amount_is_refused_at_once(scene: Scene, amount: int, code: str, rail_code: str | None) -> None:
    with pytest.raises(Refused) as refused:
        await scene.receiver().request_return(await paid(scene), "PIXRET1", amount, "x")
    assert (refused.value.code, refused.value.rail_code) == (code, rail_code)


@pytest.mark.parametrize(
    ("amount", "state", "code"),
    [
        (114, ReturnState.FAILED, "account_closed"),
        (117, ReturnState.PROCESSING, None),
        (118, ReturnState.COMPLETED, None),
    ],
)
async def test_a_magic_amount_ends_as_its_row_says(
    scene: Scene, amount: int, state: ReturnState, code: str | None
) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    await receiver.request_return(e2e_id, "PIXRET1", amount, "x")
    await scene.passes()
    found = await receiver.get_return(e2e_id, "PIXRET1")
    assert found is not None
    assert (found.state, found.code) == (state, code)


async def test_what_failed_may_be_returned_again_under_another_name(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene, 114)
    await receiver.request_return(e2e_id, "PIXRET1", 114, "x")
    await scene.passes()
    again = await receiver.request_return(e2e_id, "PIXRET2", 114, "x")
    assert again.state is ReturnState.PROCESSING


@pytest.mark.checklist("L15")
async def test_115_times_out_and_was_carried_out_once(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    with pytest.raises(Ambiguous):
        await receiver.request_return(e2e_id, "PIXRET1", 115, "x")
    assert await receiver.get_return(e2e_id, "PIXRET1") is not None
    again = await receiver.request_return(e2e_id, "PIXRET1", 115, "x")
    assert again.amount_centavos == 115
    assert await executed(scene, "PIXRET1") == 1


@pytest.mark.parametrize(
    ("fault", "count"),
    [
        ("timeout_before", 0),
        ("timeout_after", 1),
        ("html_200", 0),
        ("truncated", 1),
        ("duplicate", 1),
        ("http_400", 0),
        ("http_401", 1),
        ("http_409", 0),
        ("http_429", 0),
        ("http_500", 0),
        ("http_503", 0),
    ],
)
@pytest.mark.checklist("L8")
async def test_whatever_goes_wrong_a_repeat_under_the_same_name_returns_once(
    scene: Scene, fault: str, count: int
) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    await scene.fault("refund.submit", fault)
    try:
        await receiver.request_return(e2e_id, "PIXRET1", 1000, "x")
    except CallFailed as failure:
        certain = failure.outcome in ("not_sent", "refused")
        assert not (certain and count), "what was carried out must not look as if it was not"
    assert await executed(scene, "PIXRET1") == count
    await receiver.request_return(e2e_id, "PIXRET1", 1000, "x")
    assert await executed(scene, "PIXRET1") == 1


async def test_money_the_bank_took_back_by_itself_is_listed_with_its_nature(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    await scene.sim("POST", "returns", {"e2e_id": e2e_id, "amount": 500, "nature": "MED_FRAUDE"})
    await scene.sim("POST", "returns", {"e2e_id": e2e_id, "amount": 2500, "nature": "ORIGINAL"})
    receipt = await receiver.get_receipt(e2e_id)
    assert receipt is not None
    assert [(back.nature, back.amount_centavos) for back in receipt.returns] == [
        (Nature.MED_FRAUD, 500),
        (Nature.ORDINARY, 2500),
    ]
    answer = await scene.sim_raw("POST", "returns", {"e2e_id": e2e_id, "amount": 1})
    assert answer.status == 400


async def test_a_return_that_waits_is_settled_by_hand(scene: Scene) -> None:
    receiver, e2e_id = scene.receiver(), await paid(scene)
    await receiver.request_return(e2e_id, "PIXRET1", 117, "x")
    ending = {"status": "NAO_REALIZADO", "reason": "AB09 tente mais tarde"}
    await scene.sim("POST", f"returns/{e2e_id}/PIXRET1/settle", ending)
    found = await receiver.get_return(e2e_id, "PIXRET1")
    assert found is not None
    assert (found.state, found.rail_code, found.code) == (ReturnState.FAILED, "AB09", "receiver_unavailable")


async def test_10013_is_taken_back_and_10014_is_returned_before_it_is_announced(scene: Scene) -> None:
    for amount, returned in ((10013, [False, True]), (10014, [True, False])):
        scene.told.clear()
        await scene.receiver().create_charge(scene.request(amount))
        for _ in range(3):
            await scene.passes()
        assert [bool(item.get("devolucoes")) for _, body in scene.told for item in body["pix"]] == returned


RETURN: dict[str, Any] = {
    "id": "PIXRET1",
    "rtrId": "D99999001202603071600abcdef12345",
    "valor": "10.00",
    "horario": {"solicitacao": "2026-03-07T16:00:00Z"},
    "status": "EM_PROCESSAMENTO",
}


@pytest.mark.parametrize(
    ("changed", "state", "code"),
    [
        ({}, ReturnState.PROCESSING, None),
        ({"status": "DEVOLVIDO"}, ReturnState.COMPLETED, None),
        ({"status": "NAO_REALIZADO"}, ReturnState.FAILED, "provider_error"),
        ({"status": "NAO_REALIZADO", "motivo": "erro AC06 no recebedor"}, ReturnState.FAILED, "account_blocked"),
        ({"status": "NAO_REALIZADO", "motivo": "XX99"}, ReturnState.FAILED, "provider_error"),
        ({"status": "ESTRANHO", "motivo": "AC06"}, ReturnState.UNKNOWN, None),
    ],
)
@pytest.mark.checklist("L18")
def test_a_returns_status_word_means_a_state(changed: dict[str, Any], state: ReturnState, code: str | None) -> None:
    found = read_return(RETURN | changed)
    assert (found.state, found.code) == (state, code)


@pytest.mark.parametrize(
    ("word", "nature"),
    [
        (None, Nature.ORDINARY),
        ("RETIRADA", Nature.CASH),
        ("MED_OPERACIONAL", Nature.MED_OPERATIONAL),
        ("MED_PIX_AUTOMATICO", Nature.MED_AUTOMATIC),
        ("NOVA", Nature.UNKNOWN),
    ],
)
def test_a_returns_nature_is_read(word: str | None, nature: Nature) -> None:
    assert read_return(RETURN | ({"natureza": word} if word else {})).nature is nature


@pytest.mark.checklist("L16")
def test_returns_written_as_one_object_are_a_list_of_one() -> None:
    receipt = {"endToEndId": "E1", "valor": "30.00", "horario": "2026-03-07T15:30:00Z", "devolucoes": RETURN}
    assert [back.ref for back in read_receipt(receipt).returns] == ["PIXRET1"]


@pytest.mark.parametrize("changed", [{"id": ""}, {"valor": "0.00"}, {"valor": "1.001"}, {"horario": {"liquidacao": 7}}])
def test_a_return_nobody_can_read_is_told_apart(changed: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read_return(RETURN | changed)
