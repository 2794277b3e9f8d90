"""SQL of gateway sessions: the tries of a payment."""

from collections.abc import Collection, Sequence
from typing import Final

from opentill.db import ReadTx, Row, Tx
from opentill.kernel.clock import Instant
from opentill.kernel.mode import Mode
from opentill.kernel.owner import Owner
from opentill.payments.model import Conversion, Payment, Session, SessionState
from opentill.payments.store.conversions import charge_columns, conversion

SESSION: Final = """
        select id, reference, payment_id, merchant_id, mode, gateway, state, provider_ref, detail, reason, checks,
               opened_at, charge_units, charge_currency, charge_rate, charge_rate_at
          from gateway_session
"""


def insert_session(
    tx: Tx,
    reference: str,
    payment: Payment,
    gateway: str,
    *,
    charge: Conversion | None = None,
    next_check_at: Instant | None,
    now: Instant,
) -> Session:
    """Insert an open session. The database refuses a second open one of the same payment."""
    row = tx.all(
        """
        insert into gateway_session (reference, payment_id, merchant_id, mode, gateway, state, next_check_at, opened_at,
                                     charge_units, charge_currency, charge_rate, charge_rate_at)
        values (:reference, :payment_id, :merchant_id, :mode, :gateway, 'open', :next_check_at, :now,
                :charge_units, :charge_currency, :charge_rate, :charge_rate_at)
        returning id, reference, payment_id, merchant_id, mode, gateway, state, provider_ref, detail, reason, checks,
                  opened_at, charge_units, charge_currency, charge_rate, charge_rate_at
        """,
        reference=reference,
        payment_id=payment.id,
        **payment.owner.columns,
        gateway=gateway,
        next_check_at=next_check_at,
        now=now,
        **charge_columns(charge),
    )[0]
    return as_session(row)


def open_session(tx: ReadTx, payment_id: int, *, owner: Owner) -> Session | None:
    """Return the payment's open session, if it has one."""
    row = tx.one_or_none(
        f"""{SESSION}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
           and state in ('open', 'unknown')
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    return as_session(row) if row else None


def session_by_reference(tx: ReadTx, reference: str, *, gateway: str, owner: Owner) -> Session | None:
    """Return an owner's session with a gateway by its `ses_…`, open or ended."""
    row = tx.one_or_none(
        f"""{SESSION}
         where reference = :reference and gateway = :gateway and merchant_id = :merchant_id and mode = :mode
        """,
        reference=reference,
        gateway=gateway,
        **owner.columns,
    )
    return as_session(row) if row else None


def session_count(tx: ReadTx, payment_id: int, *, owner: Owner) -> int:
    row = tx.one_or_none(
        """
        select count(*) as n from gateway_session
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    counted: int = row["n"] if row else 0
    return counted


def last_session(tx: ReadTx, payment_id: int, *, owner: Owner) -> Session | None:
    """Return the newest session of a payment, open or ended."""
    row = tx.one_or_none(
        f"""{SESSION}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode order by id desc limit 1
        """,
        payment_id=payment_id,
        **owner.columns,
    )
    return as_session(row) if row else None


def last_conversion(tx: ReadTx, payment_id: int, gateway: str, *, owner: Owner) -> Conversion | None:
    """Return the conversion of the newest session with a gateway that had one."""
    row = tx.one_or_none(
        f"""{SESSION}
         where payment_id = :payment_id and merchant_id = :merchant_id and mode = :mode and gateway = :gateway
           and charge_units is not null
         order by id desc limit 1
        """,
        payment_id=payment_id,
        **owner.columns,
        gateway=gateway,
    )
    return conversion(row) if row else None


def update_session(
    tx: Tx,
    session: Session,
    *,
    state: SessionState,
    now: Instant,
    next_check_at: Instant | None = None,
    reason: str | None = None,
    provider_ref: str | None = None,
) -> None:
    """Save where a session stands; an ended one is never looked at again."""
    ended = state not in (SessionState.OPEN, SessionState.UNKNOWN)
    tx.defer(
        """
        update gateway_session
           set state = :state, next_check_at = :next_check_at, reason = coalesce(:reason, reason),
               provider_ref = coalesce(:provider_ref, provider_ref), checks = checks + 1, closed_at = :closed_at
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=session.id,
        **session.owner.columns,
        state=state.value,
        next_check_at=None if ended else next_check_at,
        reason=reason,
        provider_ref=provider_ref,
        closed_at=now if ended else None,
    )


def note_detail(tx: Tx, session: Session, detail: str, *, next_check_at: Instant) -> None:
    """Save what the payer submitted in an open session, whose outcome is unknown from now on."""
    tx.run(
        """
        update gateway_session set detail = :detail, state = 'unknown', next_check_at = :next_check_at, checks = 0
         where id = :id and merchant_id = :merchant_id and mode = :mode
        """,
        id=session.id,
        **session.owner.columns,
        detail=detail,
        next_check_at=next_check_at,
    )


def plan_check(tx: Tx, session: Session, *, at: Instant) -> None:
    """Save when an open session's gateway is asked next and leave the rest as it is."""
    tx.run(
        """
        update gateway_session set next_check_at = :at
         where id = :id and merchant_id = :merchant_id and mode = :mode and state in ('open', 'unknown')
        """,
        id=session.id,
        **session.owner.columns,
        at=at,
    )


def due_sessions(tx: ReadTx, *, now: Instant, limit: int, but: Collection[str] = ()) -> Sequence[Session]:
    """Return open sessions of all merchants whose gateway is to be asked now, *but* not those of some gateways."""
    busy = {f"busy{number}": gateway for number, gateway in enumerate(sorted(but))}
    others = f"and gateway not in ({', '.join(f':{name}' for name in busy)})" if busy else ""
    rows = tx.all(
        f"""{SESSION}
         where state in ('open', 'unknown') and next_check_at <= :now {others}
         order by next_check_at, id limit :limit
        """,
        now=now,
        limit=limit,
        **busy,
    )
    return [as_session(row) for row in rows]


def as_session(row: Row) -> Session:
    return Session(
        id=row["id"],
        reference=row["reference"],
        payment_id=row["payment_id"],
        owner=Owner(row["merchant_id"], Mode(row["mode"])),
        gateway=row["gateway"],
        state=SessionState(row["state"]),
        provider_ref=row["provider_ref"],
        detail=row["detail"],
        reason=row["reason"],
        checks=row["checks"],
        opened_at=row["opened_at"],
        charge=conversion(row),
    )
