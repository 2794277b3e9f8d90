"""Use cases of those who own endpoints (webhooks.md §4 to §6), one function, one transaction each.

create_endpoint, change_endpoint, entrust, delete_endpoint, find, of_surface
set_active                     pause; activate with or without what was missed
rotate_secret
resend, redeliver              one delivery
recover, replay_all, resend_matching, cancel_replay      many, by a job
endpoint_to_test, claim_test   used by `flow.send_test`
"""

from opentill.webhooks.model import IN_SERVICE
from opentill.webhooks.service.activation import set_active
from opentill.webhooks.service.again import redeliver, resend
from opentill.webhooks.service.checks import faults_of
from opentill.webhooks.service.endpoints import (
    change_endpoint,
    create_endpoint,
    delete_endpoint,
    entrust,
    find,
    of_surface,
)
from opentill.webhooks.service.feeds import Opened, feed_of, feed_waits, open_feed, read_feed, renew_token
from opentill.webhooks.service.refusals import (
    DeliveryNotFound,
    EndpointExists,
    EndpointNotFound,
    Final,
    InProgress,
    LimitReached,
    NotActive,
    ReplayNotFound,
)
from opentill.webhooks.service.replays import (
    cancel_replay,
    events_since,
    recover,
    replay_all,
    resend_matching,
    resume_replay,
)
from opentill.webhooks.service.replays import of_endpoint as replays_of
from opentill.webhooks.service.rotation import Rotated, rotate_secret
from opentill.webhooks.service.signing_keys import rotate_signing_key
from opentill.webhooks.service.trials import TEST_MESSAGE, claim_test, endpoint_to_test
from opentill.webhooks.store.replays import Replay

__all__ = [
    "IN_SERVICE",
    "TEST_MESSAGE",
    "DeliveryNotFound",
    "EndpointExists",
    "EndpointNotFound",
    "Final",
    "InProgress",
    "LimitReached",
    "NotActive",
    "Opened",
    "Replay",
    "ReplayNotFound",
    "Rotated",
    "cancel_replay",
    "change_endpoint",
    "claim_test",
    "create_endpoint",
    "delete_endpoint",
    "endpoint_to_test",
    "entrust",
    "events_since",
    "faults_of",
    "feed_of",
    "feed_waits",
    "find",
    "of_surface",
    "open_feed",
    "read_feed",
    "recover",
    "redeliver",
    "renew_token",
    "replay_all",
    "replays_of",
    "resend",
    "resend_matching",
    "resume_replay",
    "rotate_secret",
    "rotate_signing_key",
    "set_active",
]
