"""What an operator may choose, and what stops the start."""

import pytest

from opentill.settings import REPLAY_RATE_MAX, BadSettingError, Settings
from opentill.web.engine import bounds_of
from opentill.webhooks.model import BOUNDS, TIMEOUT_DEFAULT_S
from opentill.webhooks.service.replays import RATE_MAX


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"webhooks_timeout_default_s": 31}, "TIMEOUT_DEFAULT_S .* at most OPENTILL_WEBHOOKS_TIMEOUT_MAX_S"),
        ({"webhooks_timeout_default_s": 0}, "TIMEOUT_DEFAULT_S must be at least one second"),
        ({"webhooks_timeout_max_s": 9}, "TIMEOUT_DEFAULT_S .* at most OPENTILL_WEBHOOKS_TIMEOUT_MAX_S"),
        ({"webhooks_lease_s": 49}, "LEASE_S must exceed OPENTILL_WEBHOOKS_TIMEOUT_MAX_S"),
        ({"webhooks_endpoints_max": 0}, "ENDPOINTS_MAX must be at least 1"),
        ({"webhooks_portal_link_max_days": 0}, "PORTAL_LINK_MAX_DAYS must be at least 1"),
        ({"webhooks_replay_rate": 0}, "REPLAY_RATE takes 1 to 500 a second, not 0"),
        ({"webhooks_replay_rate": 501}, "REPLAY_RATE takes 1 to 500 a second, not 501"),
    ],
)
def test_what_cannot_work_stops_the_start_with_a_sentence(chosen: dict[str, int], said: str) -> None:
    with pytest.raises(BadSettingError, match=said):
        Settings.from_environment({}, **chosen)


def test_what_nobody_chose_is_what_the_engine_takes_by_itself() -> None:
    usual = Settings().completed()
    assert bounds_of(usual) == BOUNDS
    assert usual.webhooks_timeout_default_s == TIMEOUT_DEFAULT_S
    assert REPLAY_RATE_MAX == RATE_MAX
