"""Letters: posted with the fact they tell, claimed by a sender, and what became of them (docs/mail.md)."""

import json
from typing import Any, Final

from opentill.db import ReadTx, Tx
from opentill.kernel.clock import Instant, after
from opentill.kernel.failpoints import reach
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Keyring, SealedError
from opentill.mail import rules, store
from opentill.mail.model import Claimed, Deferred, Doubtful, Kind, Letter, MailState, Outcome, Refused, Sent

ONCE: Final = "mail.once"
NO_SERVER: Final = "no mail server is set"


def post(tx: Tx, letter: Letter, *, ids: Ids, keyring: Keyring, now: Instant) -> bool:
    """Keep a letter until it is sent; tell whether it is a new one.

    What was told to this address before is not told again; while that letter waits, it counts how often it happened.
    """
    address = letter.to.strip()
    public_id = ids.uuid7()
    content = {"to": address, "language": letter.language, "facts": dict(letter.facts)}
    is_new = store.insert(
        tx,
        public_id=public_id,
        merchant_id=letter.merchant_id,
        kind=str(letter.kind),
        once=_once(letter, keyring),
        told=max(letter.told, 1),
        more=letter.told,
        sealed=keyring.seal(json.dumps(content, ensure_ascii=False).encode(), _place(public_id)),
        due_at=letter.due_at or now,
        until_at=letter.until_at or after(letter.due_at or now, rules.WORTH),
        now=now,
    )
    if is_new and not rules.can_be_sent_to(address):
        store.end(tx, public_id, MailState.FAILED, "the address cannot be written to", now=now)
    reach("mail.posted")
    return is_new


def is_told(tx: ReadTx, letter: Letter, *, keyring: Keyring) -> bool:
    """Tell whether what a letter tells was posted to its address before."""
    return store.exists(tx, _once(letter, keyring))


def claim(tx: Tx, *, keyring: Keyring, now: Instant) -> Claimed | None:
    """Take the next letter that is due; None where none is. What is not worth sending any more ends on the way."""
    while row := store.next_due(tx, now=now):
        attempts, public_id = row["attempts"] + 1, row["public_id"]
        doubts = row["doubts"] + (row["state"] == MailState.SENDING)  # whoever had it died, perhaps after sending
        if doubts >= rules.DOUBTS_MAX:
            store.end(tx, public_id, MailState.UNKNOWN, row["last_error"] or "the sender died", now=now)
        elif row["until_at"] <= now:
            store.end(tx, public_id, MailState.FAILED, row["last_error"] or "it was too late", now=now)
        else:
            try:
                content = _opened(row["sealed"], public_id, keyring)
            except SealedError:
                store.end(tx, public_id, MailState.FAILED, "its seal does not open", now=now)
                continue
            store.take(tx, row["id"], attempts=attempts, doubts=doubts, lease_until=after(now, rules.LEASE))
            return Claimed(
                id=row["id"],
                public_id=public_id,
                kind=Kind(row["kind"]),
                to=content["to"],
                language=content["language"],
                facts=content["facts"],
                told=row["told"],
                attempts=attempts,
                created_at=row["created_at"],
            )
    return None


def conclude(tx: Tx, claimed: Claimed, outcome: Outcome, *, now: Instant) -> None:
    """Write down what became of a try. One that was taken over meanwhile, because it took too long, changes nothing."""
    row = store.held(tx, claimed.id, attempts=claimed.attempts)
    if row is None:
        return
    again_at = rules.next_try(claimed.attempts, now=now)
    match outcome:
        case Sent():
            store.end(tx, claimed.public_id, MailState.SENT, None, now=now)
        case Refused(error):
            store.end(tx, claimed.public_id, MailState.FAILED, error, now=now)
        case Doubtful(error) if row["doubts"] + 1 >= rules.DOUBTS_MAX:
            store.end(tx, claimed.public_id, MailState.UNKNOWN, error, now=now)
        case Deferred(error) | Doubtful(error) if again_at >= row["until_at"]:
            ended = MailState.UNKNOWN if isinstance(outcome, Doubtful) else MailState.FAILED
            store.end(tx, claimed.public_id, ended, error, now=now)
        case Deferred(error):
            store.put_back(tx, claimed.id, due_at=again_at, doubts=row["doubts"], error=error)
        case Doubtful(error):
            store.put_back(tx, claimed.id, due_at=again_at, doubts=row["doubts"] + 1, error=error)


def leave_unsent(tx: Tx, *, now: Instant, most: int) -> int:
    """End what is due where there is no mail server, so that nothing piles up; return how many letters that is."""
    return store.end_due(tx, MailState.UNSENT, NO_SERVER, now=now, most=most)


def purge(tx: Tx, *, before: Instant, most: int) -> int:
    """Forget letters that ended before an instant; return how many."""
    return store.purge(tx, before=before, most=most)


def _opened(sealed: str, public_id: str, keyring: Keyring) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(keyring.open(sealed, _place(public_id)))
    return content


def _once(letter: Letter, keyring: Keyring) -> str:
    return keyring.keyed_hash(f"{letter.once} {letter.to.strip().lower()}", ONCE)


def _place(public_id: str) -> str:
    return f"mail.sealed/{public_id}"
