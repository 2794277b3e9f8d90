"""Free slots are shared among merchants in turn, and among the lanes of each (webhooks.md §5.3)."""

from opentill.kernel.clock import Instant
from opentill.webhooks.model import Breaker, Klass
from opentill.webhooks.rules import HANGING_S, NOBODY, QUANTUM, Grant, Hanging, Waiting, hanging, share_out

NOW = Instant(1_000_000)


def lane(endpoint_id: int, merchant_id: int, *, cap: int = 4, due_at: int = 0) -> Waiting:
    return Waiting(endpoint_id, merchant_id, cap, Instant(0), Breaker.CLOSED, None, {Klass.FIRST_TRY: Instant(due_at)})


def shared(
    lanes: list[Waiting], *, free: int, after: int = 0, after_lane: int = 0, room: int = 64, hanging: Hanging = NOBODY
) -> list[Grant]:
    return share_out(
        lanes,
        now=NOW,
        free=free,
        room_of={},
        room_default=room,
        after_merchant=after,
        after_lanes={1: after_lane},
        hanging=hanging,
    )


def test_a_merchant_with_many_lanes_gets_no_more_than_one_with_one() -> None:
    grants = shared([*(lane(n, 1) for n in range(1, 9)), lane(9, 2)], free=2 * QUANTUM)
    assert {grant.merchant_id: grant.most for grant in grants} == {1: QUANTUM, 2: QUANTUM}


def test_no_slot_stays_free_while_a_lane_has_room() -> None:
    assert [grant.most for grant in shared([lane(1, 1, cap=50), lane(2, 2)], free=64)] == [50, 4]
    assert sum(grant.most for grant in shared([lane(1, 1, cap=50)], free=64, room=10)) == 10


def test_a_lane_whose_time_has_not_come_gets_nothing() -> None:
    assert shared([lane(1, 1, due_at=NOW + 1)], free=64) == []


def test_the_turn_goes_on_after_whoever_came_last() -> None:
    """Also where their lanes are full of attempts that hang: whoever comes after them must not wait for these."""
    lanes, served, last = [lane(n, n) for n in range(1, 6)], list[int](), 0
    for _ in range(5):
        grants = shared(lanes, free=2 * QUANTUM, after=last)
        served += [grant.merchant_id for grant in grants]
        last = grants[-1].merchant_id
    assert served == [1, 2, 3, 4, 5, 1, 2, 3, 4, 5]


def test_the_lanes_of_a_merchant_who_has_little_room_take_turns() -> None:
    lanes, served, last = [lane(n, 1, cap=50) for n in range(1, 4)], list[int](), 0
    for _ in range(6):
        (grant,) = shared(lanes, free=64, room=1, after_lane=last)
        served.append(last := grant.endpoint_id)
    assert served == [1, 2, 3, 1, 2, 3]


def test_who_lets_an_attempt_wait_or_did_the_last_time_hangs_until_it_answers_quickly() -> None:
    long_ago, just_now = 10.0 - HANGING_S - 0.1, 9.9
    found = hanging([(1, long_ago), (1, just_now), (2, just_now)], slow={3}, now=10.0, slots=8)
    assert found == Hanging(frozenset({1, 3}), room=2)
    assert hanging([(2, just_now)], now=10.0, slots=8) is NOBODY


def test_who_hangs_takes_no_more_than_half_of_the_slots_also_one_short_of_it() -> None:
    held = [(n, 0.0) for n in range(1, 8)]
    found = hanging(held, slow=range(1, 20), now=10.0, slots=16)
    grants = shared([lane(n, n) for n in range(1, 21)], free=9, hanging=found)
    assert {grant.endpoint_id: grant.most for grant in grants} == {1: 1, 20: 4}
    assert hanging([*held, (8, 0.0), (9, 0.0)], now=10.0, slots=16).room == 0


def test_who_hangs_takes_turns() -> None:
    lanes, served, last = [lane(n, n) for n in range(1, 4)], list[int](), 0
    for _ in range(6):
        (grant,) = shared(lanes, free=64, after=last, hanging=Hanging(frozenset({1, 2, 3}), room=1))
        served.append(last := grant.merchant_id)
    assert served == [1, 2, 3, 1, 2, 3]
