"""How the installation is doing: database, workers, queues, versions."""

from importlib.metadata import version
from typing import Final

from starlette.responses import Response

from opentill.admin.panel import Screen
from opentill.admin.visit import Visit
from opentill.webhooks.queries import health


async def show(visit: Visit) -> Response:
    """Show what runs, and whether anything is left lying."""
    facts = await visit.read(
        lambda tx: {
            "workers_at": health.workers_seen_at(tx),
            "orphans": health.orphans(tx, now=visit.now),
            "oldest_due_s": health.oldest_due_us(tx, now=visit.now) // 1_000_000,
        }
    )
    settings = visit.deps.settings
    about = {
        "version": version("opentill"),
        "database": "SQLite" if settings.embedded else "PostgreSQL",
        "address": settings.public_url,
        "mail_server": settings.mail_host,
    }
    return visit.render("admin/settings/system.html", facts | about)


SCREENS: Final = (Screen("GET", "/system", show, "system.view"),)
