"""The guarded HTTP client: every call to somebody else's server leaves through here (webhooks.md §7, §8)."""

from opentill.outbound.allow import AllowList, BadEntry, Ports
from opentill.outbound.client import Outbound
from opentill.outbound.model import Answer, OutboundRequest, Peer, Phases
from opentill.outbound.outcomes import Outcome, OutcomeClass, outcome_of
from opentill.outbound.refusals import Refusal
from opentill.outbound.tls import BadProfile, TlsFacts, TlsProfile
from opentill.outbound.tunnel import EgressProxy

__all__ = [
    "AllowList",
    "Answer",
    "BadEntry",
    "BadProfile",
    "EgressProxy",
    "Outbound",
    "OutboundRequest",
    "Outcome",
    "OutcomeClass",
    "Peer",
    "Phases",
    "Ports",
    "Refusal",
    "TlsFacts",
    "TlsProfile",
    "outcome_of",
]
