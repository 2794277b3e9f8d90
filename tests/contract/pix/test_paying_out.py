"""Paying out at the sandbox bank through its driver: magic amounts and keys, faults, codes, contests, the statement."""

import json
from collections.abc import AsyncIterator
from datetime import date
from pathlib import Path

import pytest

from opentill.kernel.clock import SECOND, Instant, ManualClock, after
from opentill.kernel.ids import SeededIds
from opentill.pix.brcode import build_dynamic, build_static
from opentill.pix.documents import cnpj_of
from opentill.pix.keys import KeyType
from opentill.pix.port import (
    Ambiguous,
    CallFailed,
    Denied,
    Evidence,
    HintKind,
    InfractionState,
    PayoutRequest,
    PayoutState,
    ProviderPayout,
    RawRequest,
    Refused,
    ToAccount,
    ToCode,
    ToKey,
)
from opentill.pix.rejections import BY_NUMBER, ROWS
from tests.contract.pix.scene import HOOK, KEY, Scene, in_process

pytestmark = pytest.mark.anyio

START = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z
TODAY = date(2026, 3, 7)
NEIGHBOUR_KEY = "vizinha@example.com"


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(START)
    async with in_process(tmp_path, clock, SeededIds(7, clock)) as scene:
        await scene.receiver().ensure_webhook(KEY, HOOK)
        scene.bank.open_account(
            client_id="neighbour",
            client_secret="neighbour-secret",
            document=cnpj_of("112223330002"),
            name="Vizinha",
            city="Natal",
            keys=[NEIGHBOUR_KEY],
        )
        yield scene


async def found(scene: Scene, request: PayoutRequest) -> ProviderPayout:
    payout = await scene.payer().query(request.ref, None)
    assert payout is not None
    return payout


async def executed(scene: Scene, ref: str) -> int:
    return sum(row["ref"] == ref for row in (await scene.sim("GET", "state"))["payouts"])


def key_of(row_number: int) -> str:
    row = BY_NUMBER[row_number]
    if row.code is not None:
        return f"{row.code.lower()}@spi.opentill.test"
    return f"{row.reason.replace('_', '-')}@dict.opentill.test"


@pytest.mark.checklist("L8")
async def test_a_payout_is_taken_settled_a_second_later_and_announced(scene: Scene) -> None:
    payer, request = scene.payer(), scene.payout(2000, text="Reembolso")
    sent = await payer.submit(request)
    assert (sent.ref, sent.state, sent.amount_centavos) == (request.ref, PayoutState.PROCESSING, 2000)
    assert sent.recipient.name == "Beatriz Teste"

    assert await scene.passes() == 1
    [(url, body)] = scene.told
    [hint] = payer.parse_notification(RawRequest(json.dumps(body).encode(), {}))
    assert (url, hint.kind, hint.ref) == (HOOK, HintKind.PAYOUT, request.ref)
    done = await found(scene, request)
    assert (done.state, done.settled_at, done.e2e_id) == (PayoutState.COMPLETED, START + SECOND, sent.e2e_id)


async def test_our_own_end_to_end_id_is_used_once(scene: Scene) -> None:
    mine = "E99999001202603071530abcdef12345"
    sent = await scene.payer().submit(scene.payout(e2e_id=mine))
    assert sent.e2e_id == mine
    with pytest.raises(Refused) as refused:
        await scene.payer().submit(scene.payout(e2e_id=mine))
    assert refused.value.rail_code == "DUPL"


@pytest.mark.checklist("L8")
async def test_a_payout_nobody_asked_for_is_proven_absent(scene: Scene) -> None:
    assert scene.payer().capabilities.query_proves_absence
    assert await scene.payer().query("PIXOUT0", None) is None


@pytest.mark.checklist("L8")
async def test_the_same_payout_again_is_the_same_and_another_under_its_reference_is_a_doubt(scene: Scene) -> None:
    payer, request = scene.payer(), scene.payout()
    first = await payer.submit(request)
    assert await payer.submit(request) == first
    with pytest.raises(Ambiguous):
        await payer.submit(PayoutRequest(request.ref, 2001, request.target))
    assert await executed(scene, request.ref) == 1


RAIL = [row.number for row in ROWS if row.code is not None]
OURS = [row.number for row in ROWS if 51 <= row.number <= 61]


@pytest.mark.parametrize("by_key", [False, True], ids=["amount", "key"])
@pytest.mark.parametrize("number", RAIL)
@pytest.mark.checklist("L21")
async def test_a_row_of_the_rail_fails_with_its_code(scene: Scene, number: int, by_key: bool) -> None:
    row = BY_NUMBER[number]
    request = (
        scene.payout(5000, target=ToKey(key_of(number), KeyType.EMAIL)) if by_key else scene.payout(900_000 + number)
    )
    assert (await scene.payer().submit(request)).state is PayoutState.PROCESSING
    await scene.passes()
    failed = await found(scene, request)
    assert (failed.state, failed.rail_code, failed.code) == (PayoutState.FAILED, row.code, row.reason)


@pytest.mark.parametrize("by_key", [False, True], ids=["amount", "key"])
@pytest.mark.parametrize("number", OURS)
@pytest.mark.checklist("L21")
async def test_a_row_of_our_bank_or_the_directory_is_refused_at_once(scene: Scene, number: int, by_key: bool) -> None:
    row = BY_NUMBER[number]
    request = (
        scene.payout(5000, target=ToKey(key_of(number), KeyType.EMAIL)) if by_key else scene.payout(900_000 + number)
    )
    with pytest.raises(Refused) as refused:
        await scene.payer().submit(request)
    assert refused.value.code == row.reason
    assert await scene.payer().query(request.ref, None) is None


@pytest.mark.parametrize("number", [62, 63, 64])
async def test_rows_that_only_we_make_have_no_amount(scene: Scene, number: int) -> None:
    request = scene.payout(900_000 + number)
    await scene.payer().submit(request)
    await scene.passes()
    assert (await found(scene, request)).state is PayoutState.COMPLETED


@pytest.mark.parametrize(("amount", "after_s"), [(910_003, 30), (910_007, 5)])
async def test_a_slow_payout_completes_when_its_row_says(scene: Scene, amount: int, after_s: int) -> None:
    request = scene.payout(amount)
    await scene.payer().submit(request)
    await scene.passes(after_s - 1)
    waiting = PayoutState.HELD if amount == 910_007 else PayoutState.PROCESSING
    assert (await found(scene, request)).state is waiting
    await scene.passes()
    assert (await found(scene, request)).state is PayoutState.COMPLETED


@pytest.mark.parametrize(("amount", "back"), [(910_004, 910_004), (910_005, 455_002)])
async def test_a_payout_is_returned_two_seconds_later(scene: Scene, amount: int, back: int) -> None:
    request = scene.payout(amount)
    await scene.payer().submit(request)
    await scene.passes()
    assert (await found(scene, request)).returns == ()
    await scene.passes(2)
    returned = await found(scene, request)
    assert returned.state is PayoutState.COMPLETED
    assert [item.amount_centavos for item in returned.returns] == [back]


@pytest.mark.parametrize(("amount", "carried_out"), [(910_001, 1), (910_002, 0)])
@pytest.mark.checklist("L15")
async def test_a_time_out_is_ambiguous_and_a_repeat_sends_once(scene: Scene, amount: int, carried_out: int) -> None:
    request = scene.payout(amount)
    with pytest.raises(Ambiguous):
        await scene.payer().submit(request)
    assert await executed(scene, request.ref) == carried_out
    await scene.payer().submit(request)
    await scene.passes()
    assert await executed(scene, request.ref) == 1
    assert (await found(scene, request)).state is PayoutState.COMPLETED


async def test_910006_is_taken_although_the_bank_says_that_it_exists(scene: Scene) -> None:
    request = scene.payout(910_006)
    assert (await scene.payer().submit(request)).state is PayoutState.PROCESSING
    assert await executed(scene, request.ref) == 1


async def test_910009_is_confirmed_three_times(scene: Scene) -> None:
    await scene.payer().submit(scene.payout(910_009))
    assert await scene.passes() == 3


async def test_910010_is_reported_with_one_centavo_more(scene: Scene) -> None:
    request = scene.payout(910_010)
    assert (await scene.payer().submit(request)).amount_centavos == 910_010
    await scene.passes()
    assert (await found(scene, request)).amount_centavos == 910_011


async def test_910011_waits_until_somebody_ends_it(scene: Scene) -> None:
    request = scene.payout(910_011)
    await scene.payer().submit(request)
    await scene.passes(60)
    assert (await found(scene, request)).state is PayoutState.PROCESSING
    await scene.sim("POST", f"payouts/{request.ref}/settle", {"status": "NAO_REALIZADO", "code": "AC06"})
    assert (await found(scene, request)).code == "account_blocked"
    again = await scene.sim_raw("POST", f"payouts/{request.ref}/settle", {"status": "REALIZADO"})
    assert again.status == 422


@pytest.mark.parametrize(
    ("fault", "carried_out"),
    [
        ("timeout_before", 0),
        ("timeout_after", 1),
        ("html_200", 0),
        ("truncated", 1),
        ("duplicate", 1),
        ("wrong_amount", 1),
        ("http_400", 0),
        ("http_401", 1),
        ("http_409", 0),
        ("http_429", 0),
        ("http_500", 0),
        ("http_503", 0),
    ],
)
@pytest.mark.checklist("L8")
async def test_whatever_goes_wrong_a_payout_is_sent_once(scene: Scene, fault: str, carried_out: int) -> None:
    request = scene.payout()
    await scene.fault("payout.submit", fault)
    try:
        await scene.payer().submit(request)
    except CallFailed as failure:
        certain = failure.outcome in ("not_sent", "refused", "denied")
        assert not (certain and carried_out), "what was carried out must not look as if it was not"
    assert await executed(scene, request.ref) == carried_out
    await scene.payer().submit(request)
    assert await executed(scene, request.ref) == 1


@pytest.mark.parametrize(("fault", "told"), [("drop", 0), ("duplicate", 2), ("wrong_amount", 1)])
async def test_a_confirmation_can_be_made_to_lie(scene: Scene, fault: str, told: int) -> None:
    await scene.fault("payout.notify", fault)
    await scene.payer().submit(scene.payout())
    assert await scene.passes() == told


async def test_a_reordered_notification_goes_out_after_the_next(scene: Scene) -> None:
    first, second = scene.payout(), scene.payout()
    await scene.fault("payout.notify", "reorder", match={"ref": first.ref})
    await scene.payer().submit(first)
    assert await scene.passes() == 0
    await scene.payer().submit(second)
    assert await scene.passes() == 1
    assert await scene.tick() == 1
    assert [body["envios"][0]["ref"] for _, body in scene.told] == [second.ref, first.ref]


async def test_a_neighbour_at_the_same_bank_receives_the_money(scene: Scene) -> None:
    request = scene.payout(target=ToKey(NEIGHBOUR_KEY, KeyType.EMAIL))
    sent = await scene.payer().submit(request)
    await scene.passes()
    receipts = (await scene.sim("GET", "state"))["receipts"]
    assert [(row["endToEndId"], row["valor"]) for row in receipts] == [(sent.e2e_id, "20.00")]


async def test_nobody_pays_themselves(scene: Scene) -> None:
    with pytest.raises(Refused) as refused:
        await scene.payer().submit(scene.payout(target=ToKey(KEY, KeyType.EVP)))
    assert refused.value.code == "same_account"


async def test_an_account_is_no_target_of_this_bank(scene: Scene) -> None:
    target = ToAccount("Ana", "12345678909", "12345678", None, "1", "checking")
    with pytest.raises(Refused) as refused:
        await scene.payer().submit(scene.payout(target=target))
    assert refused.value.code == "not_supported"


async def test_keys_are_not_looked_up_here(scene: Scene) -> None:
    with pytest.raises(Denied):
        await scene.payer().lookup_key(KEY)


# Codes


async def test_a_static_code_is_decoded_and_paid(scene: Scene) -> None:
    code = build_static(key=NEIGHBOUR_KEY, name="Vizinha", city="Natal", amount_centavos=1500, label="PEDIDO1")
    asked = await scene.payer().decode_code(code, TODAY)
    assert (asked.key, asked.amount_centavos, asked.changeable, asked.txid) == (NEIGHBOUR_KEY, 1500, False, "PEDIDO1")
    await scene.payer().submit(scene.payout(1500, target=ToCode(code, asked.key)))
    await scene.passes()
    assert (await scene.sim("GET", "state"))["receipts"][0]["txid"] == "PEDIDO1"


async def test_a_dynamic_code_is_verified_decoded_and_pays_its_charge(scene: Scene) -> None:
    neighbour = scene.receiver(scene.credentials("neighbour"))
    charge = await neighbour.create_charge(scene.request(1500, key=NEIGHBOUR_KEY))
    asked = await scene.payer().decode_code(charge.code or "", TODAY)
    assert (asked.key, asked.amount_centavos, asked.payable) == (NEIGHBOUR_KEY, 1500, True)
    assert asked.expires_at == charge.expires_at
    await scene.payer().submit(scene.payout(1500, target=ToCode(charge.code or "", asked.key)))
    await scene.passes()
    paid = await neighbour.get_charge(charge.txid)
    assert paid is not None
    assert [receipt.amount_centavos for receipt in paid.receipts] == [1500]

    with pytest.raises(Refused) as refused:
        await scene.payer().decode_code(charge.code or "", TODAY)
    assert refused.value.code == "qr_rejected"


async def test_another_amount_than_a_codes_is_refused(scene: Scene) -> None:
    fixed = build_static(key=NEIGHBOUR_KEY, name="Vizinha", city="Natal", amount_centavos=1500)
    with pytest.raises(Refused) as refused:
        await scene.payer().submit(scene.payout(1499, target=ToCode(fixed, None)))
    assert refused.value.rail_code == "BE17"


@pytest.mark.parametrize("url", ["pix.example.com/qr/v2/abc", "pix.sandbox.opentill.test/qr/v2/unknown"])
async def test_a_code_of_nobody_we_ask_is_refused(scene: Scene, url: str) -> None:
    with pytest.raises(Refused) as refused:
        await scene.payer().decode_code(build_dynamic(url=url, name="X", city="Y"), TODAY)
    assert refused.value.code == "qr_rejected"


async def test_the_bank_decodes_codes_too(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request(1500))
    answer = await scene.bank_call("POST", "/envio/v1/decodificar", {"pixCopiaECola": charge.code})
    shown = json.loads(answer.body)
    assert (shown["tipo"], shown["valor"], shown["chave"]) == ("DINAMICO", "15.00", KEY)


# Contests, balance and statement


async def test_10012_is_contested_defended_and_agreed(scene: Scene) -> None:
    payer = scene.payer()
    charge = await scene.receiver().create_charge(scene.request(10_012))
    for _ in range(3):
        await scene.passes()
    [contest] = (await payer.list_infractions(START, after(scene.clock.now(), SECOND))).items
    assert (contest.state, contest.amount_centavos, contest.reason) == (InfractionState.OPEN, 10_012, "FRAUD")
    assert contest.defense_deadline_at == contest.opened_at + 72 * 3600 * SECOND
    assert payer.parse_notification(RawRequest(json.dumps(scene.told[-1][1]).encode(), {}))[0].ref == contest.ref

    evidence = [Evidence(url="https://example.com/nota.pdf")]
    for _ in range(2):
        await payer.send_defense(contest.ref, "Entregue.", evidence)
    with pytest.raises(Refused):
        await payer.send_defense(contest.ref, "Outra defesa.", [])
    defended = await payer.get_infraction(contest.ref)
    assert defended is not None
    assert defended.state is InfractionState.DEFENDED

    await scene.sim("POST", f"infractions/{contest.ref}/resolve", {"result": "AGREED"})
    closed = await payer.get_infraction(contest.ref)
    assert closed is not None
    assert closed.state is InfractionState.ACCEPTED
    paid = await scene.receiver().get_charge(charge.txid)
    assert paid is not None
    assert [back.amount_centavos for back in paid.receipts[0].returns] == [10_012]


async def test_a_contest_nobody_knows_is_not_there(scene: Scene) -> None:
    assert await scene.payer().get_infraction("nada") is None
    with pytest.raises(Refused):
        await scene.payer().send_defense("nada", "texto", [])


@pytest.mark.checklist("L8")
async def test_the_statement_lists_each_movement_once_and_sums_to_the_balance(scene: Scene) -> None:
    payer, receiver = scene.payer(), scene.receiver()
    charge = await receiver.create_charge(scene.request(5000))
    [e2e_id] = await scene.bank.pay(charge.txid)
    await receiver.request_return(e2e_id, "PIXRET1", 1000, "x")
    await payer.submit(scene.payout(910_004))
    await payer.submit(scene.payout(910_011))
    await scene.passes()
    await scene.passes(2)

    lines = (await payer.statement(TODAY)).items
    assert sorted(line.amount_centavos for line in lines) == [-910_004, -1000, 5000, 910_004]
    balance = await payer.balance()
    assert (balance.available_centavos, balance.blocked_centavos) == (4000 - 910_011, 910_011)
    assert (await payer.statement(date(2026, 3, 6))).items == ()
