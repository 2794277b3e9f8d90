"""What is on an account and what moved on it: `/envio/v1/saldo` and `/envio/v1/extrato` (pix-rail.md §11.5)."""

from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from opentill.kernel.clock import from_datetime
from opentill.sandbox_psp import paging
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.frame import Frame, shown_amount, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row

SAO_PAULO: Final = ZoneInfo("America/Sao_Paulo")

# Credits positive. A payout counts from when it was taken, as the bank sets its money aside then.
MOVEMENTS: Final = """
    select e2e_id as name, e2e_id, txid as ref, amount, settled_at as at, 'RECEBIMENTO' as kind
      from receipt where account_id = :account_id
    union all
    select return.rtr_id, receipt.e2e_id, return.ref, -return.amount, return.settled_at, 'DEVOLUCAO_ENVIADA'
      from return join receipt on receipt.id = receipt_id
     where return.account_id = :account_id and return.status = 'DEVOLVIDO'
    union all
    select e2e_id, e2e_id, ref, -amount, settled_at, 'ENVIO'
      from payout where account_id = :account_id and status = 'REALIZADO'
    union all
    select rtr_id, payout.e2e_id, payout.ref, payout_return.amount, payout_return.settled_at, 'DEVOLUCAO_RECEBIDA'
      from payout_return join payout on payout.id = payout_id
     where payout.account_id = :account_id
"""


def balance(frame: Frame, account: Account, _request: Request) -> Answer:
    """`GET /envio/v1/saldo`. This bank lends without limit, so that a sandbox never runs dry."""
    row = frame.store.all(f"select coalesce(sum(amount), 0) as total from ({MOVEMENTS})", account_id=account.id)[0]
    under_way = frame.store.all(
        """
        select coalesce(sum(amount), 0) as total from payout
         where account_id = :account_id and status in ('EM_PROCESSAMENTO', 'RETIDO')
        """,
        account_id=account.id,
    )[0]["total"]
    return json_answer(200, {"saldo": _signed(row["total"] - under_way), "bloqueado": _signed(under_way)})


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /envio/v1/extrato?data=YYYY-MM-DD`: a day's movements, São Paulo time, oldest first."""
    start, end = _day(request.query.get("data", ""))
    query = request.query | {"inicio": shown_at(start), "fim": shown_at(end - 1_000)}
    window = paging.read_window(query, "EnvioConsultaInvalida")
    rows, paged = paging.page(
        frame,
        window,
        f"from ({MOVEMENTS}) where at between :start and :end order by at, name",
        {"account_id": account.id},
    )
    return json_answer(200, {"parametros": {"paginacao": paged}, "movimentos": [_movement(row) for row in rows]})


def _day(text: str) -> tuple[int, int]:
    try:
        begins = datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=SAO_PAULO)
    except ValueError:
        raise Problem(
            "EnvioConsultaInvalida", [Violation("o parâmetro `data` não respeita o _schema_.", "data")]
        ) from None
    return from_datetime(begins), from_datetime(begins + timedelta(days=1))


def _movement(row: Row) -> dict[str, Any]:
    return {
        "id": row["name"],
        "endToEndId": row["e2e_id"],
        "ref": row["ref"],
        "tipo": row["kind"],
        "valor": _signed(row["amount"]),
        "horario": shown_at(row["at"]),
    }


def _signed(centavos: int) -> str:
    return f"-{shown_amount(-centavos)}" if centavos < 0 else shown_amount(centavos)
