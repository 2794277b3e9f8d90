"""Writing about what waits: new items of the review queue every quarter of an hour, keys and PIX credentials that end
within two weeks, events that are held for an endpoint and will be over within one.

All of it stands in the database, so nothing is lost if nobody looked for a while; a letter that was posted is not
posted again, so any number of processes may look.
"""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from itertools import chain
from typing import Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, MINUTE, Instant
from opentill.mail import Letter, post
from opentill.mail.model import Kind
from opentill.mail.service import is_told
from opentill.merchants import credentials
from opentill.merchants.credentials import EndingCredential
from opentill.merchants.model import KEY_EXPIRING
from opentill.merchants.queries import EndingKey, ending_keys
from opentill.operators.readers import who_may
from opentill.payments.review.news import news
from opentill.web.dependencies import Dependencies
from opentill.webhooks.letters import of_ending
from opentill.workers.repeat import repeat

LOOK_S: Final = 120.0
SLOT: Final = 15 * MINUTE
SLOTS_BACK: Final = 8  # what came while no worker ran for two hours is still told


async def remind_loop(dependencies: Dependencies, stop: asyncio.Event) -> None:
    """Look every two minutes until told to stop."""
    await repeat("remind", partial(remind, dependencies), every_s=LOOK_S, stop=stop)


async def remind(dependencies: Dependencies) -> bool:
    """Post the letters that are due and were not posted yet; return False: there is never more to do at once."""
    deps, now = dependencies, dependencies.clock.now()

    def due(tx: ReadTx) -> Sequence[Letter]:
        held = of_ending(tx, now=now, event_days=deps.settings.webhooks_event_days)
        found = chain(_of_reviews(tx, now), _of_keys(tx, now), _of_credentials(tx, now), held)
        return [letter for letter in found if not is_told(tx, letter, keyring=deps.keyring)]

    letters = await deps.db.read(due)

    def post_all(tx: Tx) -> None:
        for letter in letters:
            post(tx, letter, ids=deps.ids, keyring=deps.keyring, now=now)

    if letters:
        await deps.db.write(post_all)
    return False


def _of_reviews(tx: ReadTx, now: Instant) -> Iterator[Letter]:
    """Yield a letter for each quarter of an hour in which something came that still waits, and again a day later."""
    yield from _of_slots(tx, Kind.REVIEW_ITEMS, "review", before=now)
    yield from _of_slots(tx, Kind.REVIEW_WAITING, "waiting", before=Instant(now - DAY))


def _of_slots(tx: ReadTx, kind: Kind, name: str, *, before: Instant) -> Iterator[Letter]:
    current = before // SLOT
    for slot in range(current - SLOTS_BACK, current):
        for one in news(tx, since=Instant(slot * SLOT), until=Instant((slot + 1) * SLOT)):
            facts = {"merchant": one.merchant, "count": one.count, "page": f"/admin/m/{one.slug}/reviews"}
            for reader in who_may(tx, "review.decide", merchant_id=one.owner.merchant_id):
                yield Letter(
                    kind,
                    reader.address,
                    f"{name}/{one.owner.merchant_id}/{int(one.owner.mode)}/{slot}",
                    facts,
                    merchant_id=one.owner.merchant_id,
                    language=reader.language,
                )


def _of_keys(tx: ReadTx, now: Instant) -> Iterator[Letter]:
    """Yield a letter for each key in service that ends within two weeks and has no successor."""
    for key in ending_keys(tx, now=now, until=Instant(now + KEY_EXPIRING)):
        named = {"prefix": key.prefix}
        yield from _of_ending(tx, Kind.KEY_ENDING, key, f"key/{key.id}", named, page=f"keys/{key.id}")


def _of_credentials(tx: ReadTx, now: Instant) -> Iterator[Letter]:
    """Yield a letter for each PIX credential in service that ends within two weeks."""
    for one in credentials.ending(tx, now=now, until=Instant(now + KEY_EXPIRING)):
        name, named = f"credential/{one.client_id}", {"client_id": one.client_id}
        yield from _of_ending(tx, Kind.CREDENTIAL_ENDING, one, name, named, page=f"credentials/{one.client_id}")


def _of_ending(
    tx: ReadTx, kind: Kind, one: EndingKey | EndingCredential, name: str, named: Mapping[str, str], *, page: str
) -> Iterator[Letter]:
    """Yield a letter to each who may mend it; it is told once for each instant at which it ends."""
    facts = {
        "merchant": one.merchant,
        "label": one.label,
        "until": one.expires_at,
        "page": f"/admin/m/{one.slug}/developers/{page}",
    }
    for reader in who_may(tx, "developers.manage", merchant_id=one.merchant_id):
        yield Letter(
            kind,
            reader.address,
            f"{name}/{one.expires_at}",
            facts | dict(named),
            merchant_id=one.merchant_id,
            language=reader.language,
            until_at=one.expires_at,
        )
