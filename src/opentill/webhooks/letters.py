"""Letters about endpoints and deliveries (webhooks.md §5.6), posted with the plan of the notices they come from.

A notice is an operational event, recorded in the transaction of what it tells; the planner, which plans every event
once, posts its letters. That held events will soon be over is nobody's event: whoever reminds asks for it. Letters go
to the endpoint's `notify` addresses, else to the merchant's developers.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import DAY, Instant, after
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring
from opentill.mail import Letter, post
from opentill.mail.model import Kind as LetterKind
from opentill.operators.readers import Reader, who_may
from opentill.webhooks import notices
from opentill.webhooks.model import DeliveryState, Endpoint, RecordedEvent
from opentill.webhooks.queries.attention import oldest_held
from opentill.webhooks.store import endpoints as endpoint_store
from opentill.webhooks.store.by_state import in_state

READERS_MAX: Final = 20  # of one notice
WAITING_MAX: Final = 10_000  # counted
DEVELOPERS: Final = "developers.manage"
ENDING_BEFORE: Final = 7 * DAY
KINDS: Final = {
    notices.FAILING: LetterKind.ENDPOINT_FAILING,
    notices.DISABLED: LetterKind.ENDPOINT_DISABLED,
    notices.RECOVERED: LetterKind.ENDPOINT_RECOVERED,
}

Told = tuple[RecordedEvent, Mapping[str, Any]]


def post_letters(tx: Tx, told: Sequence[Told], *, ids: Ids, keyring: Keyring, now: Instant) -> None:
    """Post the letters of some notices, given with their documents."""
    letters = [letter for event, doc in told if event.type in KINDS for letter in _of_notice(tx, event, doc)]
    letters += _of_dead(tx, [(event, doc) for event, doc in told if event.type == notices.DEAD])
    for letter in letters:
        post(tx, letter, ids=ids, keyring=keyring, now=now)


def of_ending(tx: ReadTx, *, now: Instant, event_days: int) -> Iterator[Letter]:
    """Yield the letters about held events that will soon be over, one a week for each endpoint (webhooks.md §9.3)."""
    kept = event_days * DAY
    ends = oldest_held(tx, before=Instant(now + ENDING_BEFORE - kept))
    for endpoint in endpoint_store.by_ids(tx, ends).values():
        merchant_id, until = endpoint.owner.merchant_id, after(ends[endpoint.id], kept)
        facts = {
            **_place(tx, merchant_id, endpoint.public_id),
            "url": endpoint.url,
            "waiting": _waiting(tx, endpoint.public_id),
            "until": until,
        }
        for reader in _readers(tx, merchant_id, endpoint):
            yield Letter(
                LetterKind.HELD_ENDING,
                reader.address,
                f"held/{endpoint.public_id}/{now // ENDING_BEFORE}",
                facts,
                merchant_id=merchant_id,
                language=reader.language,
                until_at=max(until, after(now, DAY)),
            )


def _of_notice(tx: ReadTx, event: RecordedEvent, doc: Mapping[str, Any]) -> list[Letter]:
    """Return the letters of N1 to N6; the event they come from is told to each reader once."""
    about = doc["endpoint"]
    endpoint = endpoint_store.find(tx, owner=event.owner, endpoint_id=about["id"])
    facts = {
        **_place(tx, event.owner.merchant_id, about["id"]),
        "url": about["url"],
        "since": about["failing_since"],
        "attempts": about["failed_attempts"],
        "error": about["last_error"],
        "disable_at": about["disable_at"],
        "reason": doc["reason"],
        "waiting": _waiting(tx, about["id"]),
        "is_pulled": endpoint is not None and endpoint.is_pulled,
    }
    return [
        Letter(
            KINDS[event.type],
            reader.address,
            event.id,
            facts,
            merchant_id=event.owner.merchant_id,
            language=reader.language,
        )
        for reader in _readers(tx, event.owner.merchant_id, endpoint)
    ]


def _of_dead(tx: ReadTx, told: Sequence[Told]) -> list[Letter]:
    """Return the letters of N7: one for an endpoint and day, sent when the day of UTC is over, with the count."""
    counts, newest = Counter[tuple[str, int]](), dict[tuple[str, int], Told]()
    for event, doc in told:
        key = doc["delivery"]["endpoint_id"], event.occurred_at // DAY
        counts[key] += 1
        newest[key] = event, doc
    letters = []
    for (endpoint_id, day), (event, doc) in newest.items():
        endpoint = endpoint_store.find(tx, owner=event.owner, endpoint_id=endpoint_id)
        facts = {
            **_place(tx, event.owner.merchant_id, endpoint_id),
            "url": doc["delivery"]["url"],
            "error": doc["delivery"]["last_error"],
            "day": day * DAY,
            "event_type": doc["delivery"]["event_type"],
        }
        letters += [
            Letter(
                LetterKind.DELIVERY_DEAD,
                reader.address,
                f"N7/{endpoint_id}/{day}",
                facts,
                merchant_id=event.owner.merchant_id,
                language=reader.language,
                due_at=Instant((day + 1) * DAY),
                told=counts[endpoint_id, day],
            )
            for reader in _readers(tx, event.owner.merchant_id, endpoint)
        ]
    return letters


def _readers(tx: ReadTx, merchant_id: int, endpoint: Endpoint | None) -> Sequence[Reader]:
    if endpoint is not None and endpoint.options.notify:
        return [Reader(address, None) for address in dict.fromkeys(endpoint.options.notify)]
    return who_may(tx, DEVELOPERS, merchant_id=merchant_id)[:READERS_MAX]


def _place(tx: ReadTx, merchant_id: int, endpoint_id: str) -> dict[str, Any]:
    """Return the merchant's name, and the page below the public address where its endpoint is mended."""
    merchant = tx.all("select slug, name from merchant where id = :id", id=merchant_id)[0]
    page = f"/admin/m/{merchant['slug']}/developers/endpoints/{endpoint_id}"
    return {"merchant": merchant["name"], "page": page}


def _waiting(tx: ReadTx, endpoint_id: str) -> int:
    """Count what is due or held for an endpoint, up to a limit."""
    of_endpoint = """
        select d.id from {} d join webhook_endpoint e on e.id = d.endpoint_id where e.public_id = :id limit :most
    """
    states = (DeliveryState.DUE, DeliveryState.HELD)
    found = (tx.all(of_endpoint.format(in_state(tx, one)), id=endpoint_id, most=WAITING_MAX) for one in states)
    return sum(map(len, found))
