"""Lists of payouts, for screens. Read-only."""

from collections.abc import Collection, Sequence

from opentill.db import ReadTx, Row
from opentill.kernel.clock import Instant
from opentill.kernel.owner import Owner
from opentill.pix.payouts.model import Payout, State
from opentill.pix.payouts.store import PAYOUT, as_payout


def page(
    tx: ReadTx,
    *,
    owner: Owner,
    limit: int,
    states: Collection[State] | None = None,
    since: Instant | None = None,
    until: Instant | None = None,
    before: str | None = None,
) -> Sequence[Payout]:
    """Return payouts made from *since* to before *until*, newest first, older than the one with the id *before*."""
    wanted = sorted(states or ())
    names = {f"state{number}": state.value for number, state in enumerate(wanted)}
    narrowed = f"and p.state in ({', '.join(f':{name}' for name in names)})" if names else ""
    narrowed += " and p.created_at >= :since" if since is not None else ""
    narrowed += " and p.created_at < :until" if until is not None else ""
    older = (
        """and (p.created_at, p.id) < (select b.created_at, b.id from pix_payout b
                                        where b.id = :before and b.merchant_id = :merchant_id and b.mode = :mode)"""
        if before is not None
        else ""
    )
    rows = tx.all(
        f"""
        {PAYOUT} where p.merchant_id = :merchant_id and p.mode = :mode {narrowed} {older}
         order by p.created_at desc, p.id desc limit :limit
        """,
        limit=limit,
        **owner.columns,
        **names,
        **{name: at for name, at in (("since", since), ("until", until), ("before", before)) if at is not None},
    )
    return [as_payout(row) for row in rows]


def returns(tx: ReadTx, payout_id: str, *, owner: Owner) -> Sequence[Row]:
    """Return what came back of a payout, oldest first."""
    return tx.all(
        """
        select id, return_id, units, reason, returned_at from pix_payout_return
         where payout_id = :payout_id and merchant_id = :merchant_id and mode = :mode order by created_at, id limit 100
        """,
        payout_id=payout_id,
        **owner.columns,
    )


def waiting(tx: ReadTx, *, owner: Owner) -> int:
    """Return how many payouts wait for a second person."""
    row = tx.one_or_none(
        """
        select count(*) as n from pix_payout
         where merchant_id = :merchant_id and mode = :mode and state = 'pending_approval'
        """,
        **owner.columns,
    )
    return int(row["n"]) if row else 0


def named(tx: ReadTx, name: str, *, owner: Owner) -> Sequence[str]:
    """Return the ids of payouts with an id, an end-to-end id, an id of the merchant's, or a return of that name."""
    rows = tx.all(
        """
        select id from pix_payout where merchant_id = :merchant_id and mode = :mode and id = :name
        union select id from pix_payout
               where merchant_id = :merchant_id and mode = :mode and end_to_end_id = :name
        union select id from pix_payout
               where merchant_id = :merchant_id and mode = :mode and external_id = :name
        union select payout_id from pix_payout_return
               where merchant_id = :merchant_id and mode = :mode and return_id = :name
        order by 1 limit 50
        """,
        name=name,
        **owner.columns,
    )
    return [row["id"] for row in rows]
