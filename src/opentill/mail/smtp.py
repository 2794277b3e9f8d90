"""Handing letters to the mail server: one conversation at a time, on a thread of its own.

What matters is what is known afterwards. Until the server has asked for the letter itself, a lost connection means
that it has nothing; after that nobody knows, until it says so.
"""

import re
import smtplib
import ssl
from contextlib import suppress
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import parseaddr
from typing import Final

from opentill.mail.model import Deferred, Doubtful, MailServer, Outcome, Refused, Sent

TIMEOUT_S: Final = 15.0  # for each answer
DOT: Final = re.compile(rb"^\.", re.MULTILINE)
GO_ON: Final = 354
TAKEN: Final = range(200, 300)
LATER: Final = range(400, 500)
FINAL: Final = range(500, 600)


class Away(Exception):  # noqa: N818 - names what happened
    """The server cannot be reached or does not let us in; nothing was given to it."""


class Conversation:
    """An open connection to the mail server, on which letters are handed over one after another."""

    def __init__(self, server: MailServer, *, context: ssl.SSLContext | None = None) -> None:
        """Connect and sign in. Raises Away; without the promised encryption nothing is said."""
        self._sender = parseaddr(server.sender)[1]
        trust = context or ssl.create_default_context()
        step = "connect"
        try:
            if server.security == "tls":
                self._smtp: smtplib.SMTP = smtplib.SMTP_SSL(
                    server.host, server.port, server.own_name, timeout=TIMEOUT_S, context=trust
                )
            else:
                self._smtp = smtplib.SMTP(server.host, server.port, server.own_name, timeout=TIMEOUT_S)
        except (OSError, smtplib.SMTPException) as fault:
            raise Away(_said(step, fault)) from None
        try:
            if server.security == "starttls":
                step = "starttls"
                self._smtp.starttls(context=trust)
            step = "greet"
            self._smtp.ehlo_or_helo_if_needed()
            if server.user:
                step = "sign in"
                self._smtp.login(server.user, server.password.reveal())
        except (OSError, smtplib.SMTPException) as fault:
            self._smtp.close()
            raise Away(_said(step, fault)) from None

    def send(self, message: EmailMessage) -> Outcome:
        """Hand one letter over."""
        try:
            refusal = self._announce(parseaddr(str(message["To"]))[1])
        except (OSError, smtplib.SMTPException) as fault:
            self._smtp.close()
            return Deferred(_said("envelope", fault), is_away=True)
        if refusal is not None:
            self._start_over()
            return refusal
        try:
            self._smtp.send(DOT.sub(b"..", message.as_bytes(policy=SMTP)) + b".\r\n")
            code, _ = self._smtp.getreply()
        except (OSError, smtplib.SMTPException) as fault:
            self._smtp.close()
            return Doubtful(_said("letter", fault))
        if code in TAKEN:
            return Sent()
        if code in FINAL:
            return Refused(f"letter: {code}")
        return Deferred(f"letter: {code}") if code in LATER else Doubtful(f"letter: {code}")

    def _announce(self, to: str) -> Refused | Deferred | None:
        """Name sender and receiver and ask to give the letter; None where the server wants it."""
        code, _ = self._smtp.mail(self._sender)
        if code not in TAKEN:  # our address is wrong, or we may not write at all: whoever runs this can mend it
            return Deferred(f"from: {code}", is_away=True)
        code, _ = self._smtp.rcpt(to)
        if code not in TAKEN:
            return Refused(f"to: {code}") if code in FINAL else Deferred(f"to: {code}")
        code, _ = self._smtp.docmd("DATA")
        return None if code == GO_ON else Deferred(f"data: {code}")

    def _start_over(self) -> None:
        with suppress(OSError, smtplib.SMTPException):  # a server that is gone is met again with the next letter
            self._smtp.rset()

    @property
    def is_over(self) -> bool:
        """Tell whether the connection is gone."""
        return self._smtp.sock is None

    def close(self) -> None:
        """Say goodbye; a server that is gone already does not matter."""
        with suppress(OSError, smtplib.SMTPException):
            self._smtp.quit()
        self._smtp.close()


def _said(step: str, fault: Exception) -> str:
    """Return where it failed and with which code. Not what the server wrote: it repeats addresses."""
    code = getattr(fault, "smtp_code", None)
    return f"{step}: {code if code is not None else type(fault).__name__}"
