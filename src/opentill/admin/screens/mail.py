"""Letters: whether they can be sent, what waits, and what became of the last ones."""

from typing import Final

from starlette.responses import Response

from opentill.admin.numbers import number
from opentill.admin.panel import Screen
from opentill.admin.visit import Journalist, Visit
from opentill.db import Tx
from opentill.mail import Letter, post, queries
from opentill.mail.model import Kind

PAGE: Final = 50


async def show(visit: Visit) -> Response:
    """List letters, newest first, without what they said and to whom."""
    before = number(visit.query("before"))
    found, standing = await visit.read(
        lambda tx: (queries.page(tx, limit=PAGE + 1, before=before or None), queries.standing(tx))
    )
    settings = visit.deps.settings
    facts = {
        "letters": found[:PAGE],
        "more": len(found) > PAGE,
        "standing": standing,
        "server": settings.mail_host,
        "sender": settings.mail_from,
    }
    return visit.render("admin/settings/mail.html", facts)


async def send_test(visit: Visit) -> Response:
    """Write to whoever presses the button, to see whether letters arrive."""
    operator, deps = visit.who.operator, visit.deps

    def posted(tx: Tx, log: Journalist) -> None:
        letter = Letter(
            Kind.TEST,
            operator.email,
            f"test/{operator.id}/{visit.now}",
            language=visit.pages.language_of(visit.request).tag,
        )
        post(tx, letter, ids=deps.ids, keyring=deps.keyring, now=visit.now)
        log("mail.test", operator.actor)

    await visit.write(posted)
    return visit.go("/admin/mail", note="mailed")


SCREENS: Final = (
    Screen("GET", "/mail", show, "settings.view"),
    Screen("POST", "/mail/test", send_test, "settings.manage"),
)
