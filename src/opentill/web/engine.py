"""The webhook engine of this process, as loops and edges use it, and what the settings allow owners of endpoints."""

import os
import socket

from opentill.settings import Settings
from opentill.web.dependencies import Dependencies
from opentill.webhooks.engine import Engine
from opentill.webhooks.model import Bounds
from opentill.webhooks.rules import Patience


def engine_of(dependencies: Dependencies) -> Engine:
    """Return an engine; each has a name of its own under which it holds leases."""
    settings = dependencies.settings
    return Engine(
        db=dependencies.db,
        sender=dependencies.outbound,
        keyring=dependencies.keyring,
        ids=dependencies.ids,
        clock=dependencies.clock,
        worker=f"{socket.gethostname()}:{os.getpid()}:{dependencies.ids.hex(8)}",
        lease_s=settings.webhooks_lease_s,
        heartbeat_s=settings.webhooks_heartbeat_s,
        timeout_default_s=settings.webhooks_timeout_default_s,
        timeout_max_s=settings.webhooks_timeout_max_s,
        in_flight_max=settings.webhooks_in_flight_max,
        in_flight_per_merchant_max=settings.webhooks_per_merchant_max,
        patience=patience_of(settings),
        keep_private_answers=settings.dev or settings.webhooks_keep_private_answers,
        answer_kept_bytes=settings.webhooks_answer_kept_bytes,
        works_alone=settings.embedded,
        validates_bodies=settings.webhooks_validate_bodies,
    )


def patience_of(settings: Settings) -> Patience:
    """Return for how long and how often everything must fail before an endpoint is disabled."""
    return Patience(settings.webhooks_disable_after_days, settings.webhooks_disable_min_attempts)


def bounds_of(settings: Settings) -> Bounds:
    """Return what the operator allows those who look after endpoints."""
    return Bounds(
        endpoints_max=settings.webhooks_endpoints_max,
        pix_endpoints_max=settings.pix_webhooks_max_endpoints,
        pix_extra_events=settings.pix_webhooks_extra_events,
        replay_rate=settings.webhooks_replay_rate,
        portal_link_max_days=settings.webhooks_portal_link_max_days,
    )
