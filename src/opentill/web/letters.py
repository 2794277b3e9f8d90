"""Letters as they are read: a template of plain text in the reader's language becomes a message.

The first line of a template is the subject. What others wrote (names, errors, addresses) is put on one line without
control characters before it gets in, so that it can neither add a header nor pass for a paragraph of ours.
"""

import unicodedata
from datetime import date
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import format_datetime, parseaddr
from typing import Final, Self
from urllib.parse import urlsplit

import jinja2

from opentill.kernel.clock import to_datetime
from opentill.kernel.money import Money, currency
from opentill.kernel.secret import Secret
from opentill.mail.model import Claimed, MailServer
from opentill.settings import MAIL_PORTS, Settings
from opentill.web import formats, languages
from opentill.web.languages import Language

FOLDER: Final = languages.FOLDER.parent.joinpath("templates", "mail")
LINE_MAX: Final = 300  # characters of anything that others wrote
SUBJECT_MAX: Final = 150


def server_of(settings: Settings) -> MailServer | None:
    """Return the mail server of the settings; None where none is set."""
    if not settings.mail_host:
        return None
    return MailServer(
        host=settings.mail_host,
        port=settings.mail_port or MAIL_PORTS[settings.mail_security],
        security=settings.mail_security,
        user=settings.mail_user,
        password=Secret(settings.mail_password),
        sender=settings.mail_from,
        own_name=urlsplit(settings.public_url).hostname or "localhost",
    )


class Letters:
    """Writes letters for one installation."""

    def __init__(self, *, public_url: str, sender: str, language: str) -> None:
        self._public_url = public_url
        name, address = parseaddr(sender)
        self._sender = Address(name or "OpenTill", addr_spec=address)
        self._language = language
        self._spoken = {tag: _environment(spoken) for tag, spoken in languages.load().items()}

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Return what writes for the installation of these settings."""
        return cls(public_url=settings.public_url, sender=settings.mail_from, language=settings.mail_language)

    def compose(self, letter: Claimed) -> EmailMessage:
        """Return the message of a letter. It is the same at every try, its id too, so that readers see it once."""
        spoken = letter.language if letter.language in self._spoken else self._language
        facts = {name: one_line(value) if isinstance(value, str) else value for name, value in letter.facts.items()}
        text = (
            self._spoken[spoken]
            .get_template(f"{letter.kind}.txt")
            .render(**facts, told=letter.told, address=self._public_url)
        )
        subject, _, body = text.partition("\n")
        message = EmailMessage(policy=SMTP)
        message["From"] = self._sender
        message["To"] = Address(addr_spec=letter.to)
        message["Subject"] = one_line(subject)[:SUBJECT_MAX]
        message["Date"] = format_datetime(to_datetime(letter.created_at))
        message["Message-ID"] = f"<{letter.public_id}@{self._sender.domain}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(body.strip() + "\n")
        message["Content-Language"] = spoken
        return message


def one_line(text: str) -> str:
    """Return a text on one line, without what would not be seen: control characters and changes of direction."""
    seen = "".join(" " if unicodedata.category(character)[0] in "CZ" else character for character in text)
    return " ".join(seen.split())[:LINE_MAX]


def _environment(language: Language) -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=False,  # noqa: S701 - plain text
        auto_reload=False,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=["jinja2.ext.i18n"],
    )
    environment.policies["ext.i18n.trimmed"] = True
    environment.install_gettext_translations(language.texts, newstyle=True)  # type: ignore[attr-defined]
    environment.filters["time"] = lambda instant: formats.moment(instant, language.locale)
    environment.filters["amount"] = lambda units, code: Money(units, currency(code))
    environment.filters["money"] = lambda amount: formats.money(amount, language.locale)
    environment.filters["date"] = lambda iso: formats.plain_date(date.fromisoformat(iso), language.locale)
    environment.filters["day"] = lambda instant: formats.plain_day(instant, language.locale)
    return environment
