"""Sending letters: one after another over one connection, beside everything else. Nothing waits for it."""

import asyncio
from dataclasses import dataclass, field
from email.message import EmailMessage
from functools import partial
from typing import Final

import structlog

from opentill.db import Database
from opentill.kernel.clock import Clock
from opentill.kernel.failpoints import reach
from opentill.kernel.secret import Keyring
from opentill.mail import queries, service
from opentill.mail.model import Claimed, Deferred, MailServer, Outcome, Refused
from opentill.mail.smtp import Away, Conversation
from opentill.web.dependencies import Dependencies
from opentill.web.letters import Letters, server_of
from opentill.workers.repeat import repeat

EVERY_S: Final = 5.0
LETTERS_MAX: Final = 50  # over one connection
UNSENT_MAX: Final = 500  # in one transaction

log = structlog.get_logger("opentill.workers.mail")


@dataclass(slots=True)
class Mailbag:
    """What letters are sent with, and the connection that is open.

    Letters are taken one at a time, so that whoever dies leaves at most one in doubt.
    """

    db: Database
    clock: Clock
    keyring: Keyring
    server: MailServer
    letters: Letters
    _conversation: Conversation | None = field(default=None, init=False)

    async def send_next(self) -> bool:
        """Take the next letter, try to send it and write down what became of it; tell whether to go on."""
        if not await self.db.read(lambda tx: queries.is_due(tx, now=self.clock.now())):
            return False
        claimed = await self.db.write(lambda tx: service.claim(tx, keyring=self.keyring, now=self.clock.now()))
        if claimed is None:
            return False
        reach("mail.claimed")
        outcome = await self._tried(claimed)
        reach("mail.handed")
        await self.db.write(lambda tx: service.conclude(tx, claimed, outcome, now=self.clock.now()))
        log.info(
            f"mail.{type(outcome).__name__.lower()}",
            letter=claimed.public_id,
            kind=claimed.kind,
            error=getattr(outcome, "error", None),
        )
        return not (isinstance(outcome, Deferred) and outcome.is_away)

    async def _tried(self, claimed: Claimed) -> Outcome:
        try:
            message = self.letters.compose(claimed)
        except Exception as fault:  # whatever it is, it belongs to this letter and must not keep the others
            log.exception("mail.cannot_be_written", letter=claimed.public_id, kind=claimed.kind)
            return Refused(f"cannot be written: {type(fault).__name__}")
        return await asyncio.to_thread(self._hand_over, message)

    def _hand_over(self, message: EmailMessage) -> Outcome:
        """Connect where that is not done yet, and hand the letter over. On a thread of its own."""
        try:
            if self._conversation is None or self._conversation.is_over:
                self._conversation = Conversation(self.server)
        except Away as away:
            return Deferred(str(away), is_away=True)
        return self._conversation.send(message)

    async def hang_up(self) -> None:
        """Close the connection; the next letter opens another."""
        if self._conversation is not None:
            await asyncio.to_thread(self._conversation.close)


async def mail_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Send what is due until told to stop."""
    deps, server = dependencies, server_of(dependencies.settings)
    if server is None:
        await repeat("mail", partial(leave_unsent, deps), every_s=EVERY_S, stop=stop)
    else:
        mailbag = Mailbag(deps.db, deps.clock, deps.keyring, server, Letters.of(deps.settings))
        await repeat("mail", partial(send_due, mailbag, stop), every_s=EVERY_S, stop=stop)


async def leave_unsent(dependencies: Dependencies) -> bool:
    """Without a mail server, end what is due and say so; tell whether there is more."""
    db, now = dependencies.db, dependencies.clock.now()
    if not await db.read(lambda tx: queries.is_due(tx, now=now)):
        return False
    unsent = await db.write(lambda tx: service.leave_unsent(tx, now=now, most=UNSENT_MAX))
    log.warning("mail.unsent", letters=unsent, reason=service.NO_SERVER)
    return unsent == UNSENT_MAX


async def send_due(mailbag: Mailbag, stop: asyncio.Event) -> bool:
    """Send what is due over one connection; tell whether there is more. A server that is away ends the round."""
    try:
        for _ in range(LETTERS_MAX):
            if stop.is_set() or not await mailbag.send_next():
                return False
        return True
    finally:
        await mailbag.hang_up()
