"""The manners of other banks: with each of them on, the same conduct of the adapter, by the profile that fits."""

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from opentill.kernel.calendar import day_of
from opentill.kernel.clock import SECOND, Instant, ManualClock, after
from opentill.kernel.ids import SystemIds
from opentill.pix.brcode import parse
from opentill.pix.port import ChargeState, Denied, Refused, ReturnState
from opentill.pix.providers.payloads import Payloads
from opentill.sandbox_psp.quirks import NAMES
from tests.contract.pix.scene import BANK_HOST, HOOK, KEY, Scene, in_process

pytestmark = pytest.mark.anyio

FITTING: dict[str, dict[str, Any]] = {"put_refuses_update": {"put_is_update": False}}


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    clock = ManualClock(Instant(1_772_884_800 * SECOND))
    async with in_process(tmp_path, clock=clock, ids=SystemIds(clock)) as scene:
        yield scene


@pytest.mark.checklist("L10")
@pytest.mark.parametrize("quirk", [None, *NAMES])
async def test_with_each_manner_of_a_bank_the_same_life_of_money_is_read(scene: Scene, quirk: str | None) -> None:
    if quirk is not None:
        assert (await scene.sim("POST", "quirks", {quirk: True}))["quirks"] == [quirk]
    receiver, asked = scene.receiver(**FITTING.get(quirk or "", {})), scene.request()
    await receiver.ensure_webhook(KEY, HOOK)

    made = await receiver.create_charge(asked)
    assert (made.amount_centavos, made.state, made.location is not None) == (3_000, ChargeState.ACTIVE, True)
    assert (made.code is None) == (quirk == "no_code")
    assert (await receiver.create_charge(asked)).txid == asked.txid  # a repeat finds it
    with pytest.raises(Refused):
        await receiver.create_charge(replace(asked, key="fulano@example.com"))
    if made.code is not None:
        decoded = await Payloads(scene.transport, frozenset({BANK_HOST}), scene.clock).decode(
            made.code, day_of(scene.clock.now())
        )
        assert (decoded.amount_centavos, decoded.payable, parse(made.code).url) == (3_000, True, made.location)

    [e2e_id] = await scene.bank.pay(asked.txid)
    receipt = await receiver.get_receipt(e2e_id)
    assert receipt is not None
    assert (receipt.amount_centavos, receipt.txid) == (3_000, asked.txid)
    await receiver.request_return(e2e_id, "PIXRET1", 1_000, "Devolução PIX")
    assert isinstance(scene.clock, ManualClock)
    scene.clock.advance(2 * SECOND)
    await scene.tick()
    back = await receiver.get_return(e2e_id, "PIXRET1")
    assert back is not None
    assert (back.state, back.amount_centavos) == (ReturnState.COMPLETED, 1_000)
    page = await receiver.list_receipts(Instant(made.created_at - SECOND), after(scene.clock.now(), SECOND))
    assert [(one.e2e_id, [part.ref for part in one.returns]) for one in page.items] == [(e2e_id, ["PIXRET1"])]
    found = await receiver.get_charge(asked.txid)
    assert found is not None
    assert found.state is ChargeState.PAID

    other = await receiver.create_charge(scene.request())
    assert (await receiver.cancel_charge(other.txid)).state is ChargeState.CANCELLED
    assert await receiver.get_charge(scene.request().txid) is None


async def test_what_is_not_granted_is_off(scene: Scene) -> None:
    await scene.sim("POST", "quirks", {"fewer_scopes": True})
    receiver = scene.receiver()
    await receiver.authorise()
    assert not receiver.capabilities.due_date
    assert receiver.trouble == "scopes not granted: cobv.read, cobv.write"
    with pytest.raises(Denied):
        await receiver.get_due_charge("x" * 26)


async def test_manners_are_switched_off_again_and_unknown_ones_refused(scene: Scene) -> None:
    await scene.sim("POST", "quirks", {"no_code": True, "number_amounts": True})
    assert (await scene.sim("POST", "quirks", {"no_code": False}))["quirks"] == ["number_amounts"]
    assert (await scene.sim_raw("POST", "quirks", {"politeness": True})).status == 422
    await scene.sim_raw("POST", "reset", {})
    assert (await scene.sim("POST", "quirks", {}))["quirks"] == []
