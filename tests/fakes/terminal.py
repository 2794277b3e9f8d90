"""A card gateway that says what a test wants, and during whose calls a test can make something happen."""

from collections.abc import Awaitable, Callable

from opentill.gateways.port import GatewaySession, RefundAnswer, RefundOrder, Verdict
from opentill.gateways.sandbox import SandboxGateway
from opentill.kernel.clock import Instant


class Terminal(SandboxGateway):
    """The sandbox gateway, unless it is told what to say."""

    def __init__(self) -> None:
        self.says: Verdict | None = None  # to whoever asks
        self.pays: Verdict | None = None  # to a submission
        self.while_paying: Callable[[], Awaitable[None]] | None = None
        self.asked: list[str] = []  # the references of the sessions it was asked about
        self.told: list[str] = []  # the references of the submissions it got
        self.refunds: RefundAnswer | None = None  # to a refund
        self.says_of_refunds: RefundAnswer | None = None  # to whoever asks about one
        self.while_refunding: Callable[[], Awaitable[None]] | None = None
        self.refunded: list[str] = []  # the references of the refunds it got
        self.asked_of_refunds: list[str] = []

    async def pay(self, session: GatewaySession, *, now: Instant) -> Verdict:
        self.told.append(session.reference)
        if self.while_paying is not None:
            during, self.while_paying = self.while_paying, None
            await during()
        return self.pays or await super().pay(session, now=now)

    async def fetch_status(self, session: GatewaySession, *, now: Instant) -> Verdict:
        self.asked.append(session.reference)
        return self.says or await super().fetch_status(session, now=now)

    async def refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        self.refunded.append(order.reference)
        if self.while_refunding is not None:
            during, self.while_refunding = self.while_refunding, None
            await during()
        return self.refunds or await super().refund(order, now=now)

    async def fetch_refund(self, order: RefundOrder, *, now: Instant) -> RefundAnswer:
        self.asked_of_refunds.append(order.reference)
        return self.says_of_refunds or await super().fetch_refund(order, now=now)
