"""Looking after the banks: lost notification addresses, what was listed late, certificates, and a bank that hangs."""

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs

from opentill.gateways.rounds import AT_ONCE, Lanes
from opentill.kernel.clock import DAY, HOUR, MINUTE, SECOND, Instant, ManualClock
from opentill.payments.pix import bank_watch
from opentill.payments.pix import flow as pix_flow
from opentill.pix.banks import Health
from opentill.pix.model import Account, State
from opentill.workers.banks import Watch, latest_night
from tests.usecases.pix.shop import KEY, PUBLIC_URL, Shop

pytestmark = pytest.mark.anyio


async def registered(shop: Shop) -> list[str]:
    """Return where the bank tells of the shop's money, changed or not."""
    answer = await shop.bank_call("GET", f"/api/v2/webhook/{KEY}")
    return [] if answer is None else [answer["webhookUrl"]]


@pytest.mark.checklist("L16")
async def test_a_notification_address_the_bank_lost_or_changed_is_put_back(shop: Shop) -> None:
    right = await registered(shop)
    for change in (("DELETE", None), ("PUT", {"webhookUrl": "https://elsewhere.example.com/hook"})):
        await shop.bank_call(change[0], f"/api/v2/webhook/{KEY}", change[1])
        assert await registered(shop) != right
        assert await bank_watch.check_webhooks(shop.tools, PUBLIC_URL) == 1
        assert await registered(shop) == right


async def test_two_days_are_swept_once_more_without_booking_anything_twice(shop: Shop) -> None:
    late = await shop.charges(expires_in_s=86_400)
    await shop.payer_pays(late, notify="never")
    shop.passes(DAY)
    await shop.db.write(lambda tx: tx.run("update pix_account set swept_until_at = :now", now=shop.clock.now()))
    await shop.sweeps()
    assert await shop.state(late) is not State.COMPLETED

    for _ in range(2):
        await bank_watch.sweep_two_days(shop.tools)
    assert await shop.state(late) is State.COMPLETED
    assert await shop.receipts() == [("charge", "booked", 3000)]


async def test_the_nightly_sweep_is_due_once_after_half_past_three_in_sao_paulo(shop: Shop) -> None:
    watch = Watch(shop.deps, healthy)
    charge = await shop.charges(expires_in_s=86_400)
    await shop.payer_pays(charge, notify="never")
    shop.passes(MINUTE)
    await watch.night()
    assert await shop.state(charge) is State.COMPLETED

    another = await shop.charges(expires_in_s=10 * 86_400)
    await shop.payer_pays(another, notify="never")
    shop.passes(MINUTE)
    await watch.night()
    assert await shop.state(another) is State.ACTIVE
    shop.passes(DAY)
    await watch.night()
    assert await shop.state(another) is State.COMPLETED


async def healthy(_account: Account) -> Health:
    return Health(None, None)


@pytest.mark.parametrize(("hour", "day"), [(6, 6), (7, 7)])
async def test_half_past_three_is_local_time(hour: int, day: int) -> None:
    midnight = 1_772_841_600 * SECOND  # 2026-03-07T00:00:00Z
    clock = ManualClock(Instant(midnight + hour * HOUR))
    assert latest_night(clock) == midnight + (day - 7) * DAY + 6 * HOUR + 30 * MINUTE


@dataclass
class Certificate:
    """A bank's view of us, with a certificate that ends."""

    ends_at: Instant
    trouble: str | None = None

    async def health(self, _account: Account) -> Health:
        return Health(self.trouble, self.ends_at)


@pytest.mark.checklist("L24")
async def test_a_certificate_that_runs_out_is_told_at_60_30_and_7_days_once_each(shop: Shop) -> None:
    certificate = Certificate(Instant(shop.clock.now() + 62 * DAY))
    watch = Watch(shop.deps, certificate.health)
    told = []
    for _ in range(63):
        with capture_logs() as lines:
            await watch.health()
        told += [line["days_left"] for line in lines if line["event"] == "certificate runs out"]
        shop.passes(DAY)
    assert told == [60, 30, 7]

    certificate.ends_at = Instant(shop.clock.now() + 365 * DAY)
    with capture_logs() as lines:
        await watch.health()
    assert lines == []


async def test_a_bank_that_does_not_authorise_us_is_told(shop: Shop) -> None:
    watch = Watch(shop.deps, Certificate(Instant(shop.clock.now() + 365 * DAY), "credentials refused").health)
    with capture_logs() as lines:
        await watch.health()
    assert [line["trouble"] for line in lines] == ["credentials refused"]


async def test_a_token_the_bank_refuses_or_grants_too_little_with_is_trouble(shop: Shop) -> None:
    account = (await shop.hook())[1]
    assert await shop.banks.health(account) == Health(None, None)

    await shop.starts_again()
    await shop.fault("token", "http_503")
    assert (await shop.banks.health(account)).trouble == "token call failing"


# A bank that hangs


async def test_a_bank_that_hangs_delays_nobody_else(shop: Shop) -> None:
    """The other bank's charge is booked while the first has not answered, and the first is not asked again."""
    held = asyncio.Event()
    slow, quick = await shop.charges(), await shop.charges()
    lanes, booked = Lanes[int](patience_s=0.05), []

    async def work(charge: object) -> None:
        if charge is slow:
            await held.wait()
        booked.append(charge)

    def lane(charge: object) -> int:
        return 1 if charge is slow else 2

    assert await lanes.each([slow, quick], lane, work) == 2
    assert (booked, lanes.busy) == ([quick], {1})
    assert await lanes.each([slow, quick], lane, work) == 1
    assert booked == [quick, quick]
    held.set()
    await asyncio.sleep(0.01)
    assert (booked, lanes.busy) == ([quick, quick, slow], frozenset())


async def test_a_lane_deals_with_a_few_items_at_once_and_no_more() -> None:
    under_way, most = 0, 0

    async def work(_item: int) -> None:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0)
        under_way -= 1

    assert await Lanes[int]().each(range(100), lambda _: 1, work) == 100
    assert most == AT_ONCE


async def test_hints_of_a_busy_bank_are_left_out_of_a_round(shop: Shop) -> None:
    charge = await shop.charges()
    await shop.payer_pays(charge)
    await shop.rings()
    lanes = Lanes[int](patience_s=0.0)
    held = asyncio.Event()
    await lanes.each([shop.account_id], lambda number: number, lambda _: held.wait())

    assert await pix_flow.confirm_due_hints(shop.tools, lanes) == 0
    held.set()
    await asyncio.sleep(0.01)
    assert await pix_flow.confirm_due_hints(shop.tools) == 1
    assert await shop.state(charge) is State.COMPLETED


async def test_what_a_lane_left_behind_met_is_told_when_it_ends() -> None:
    lanes, go_on = Lanes[int](patience_s=0.0), asyncio.Event()

    async def work(_item: int) -> None:
        await go_on.wait()
        raise ValueError("broken")

    await lanes.each([1], lambda _: 7, work)
    with capture_logs() as lines:
        go_on.set()
        await asyncio.sleep(0.01)
    assert [line["lane"] for line in lines] == ["lane 7"]
