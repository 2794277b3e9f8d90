"""Who a key or a code leads to: an account here, or somebody at another bank that only exists by name."""

import json
from dataclasses import dataclass
from typing import Any, Final

from opentill.kernel.clock import SECOND
from opentill.pix import brcode
from opentill.pix.rejections import BY_NUMBER
from opentill.sandbox_psp import locations
from opentill.sandbox_psp.due_amounts import asked_now
from opentill.sandbox_psp.frame import Frame, shown_amount
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.store import Row

STRANGER: Final = "Beatriz Teste"
STRANGERS_DOCUMENT: Final = "11144477735"


@dataclass(frozen=True, slots=True)
class Payee:
    """Who is paid. *account_id* and *charge_id* only where they are this bank's."""

    key: str
    name: str
    document: str
    txid: str | None = None
    account_id: int | None = None
    charge_id: int | None = None


def payee_of(frame: Frame, *, key: str | None = None, code: str = "", amount: int | None = None) -> Payee:
    """Return who a canonical key or a code leads to. Raises `EnvioRecusado` for a code that cannot be paid."""
    if key is not None:
        return _of_key(frame, key)
    read = _read(code)
    if read.url is not None:
        return _of_location(frame, read.url, amount)
    if amount is not None and read.amount_centavos not in (None, amount):
        raise _rejected()
    return _of_key(frame, read.key or "", read.txid)


def quoted(frame: Frame, code: str) -> dict[str, Any]:
    """Return what a code asks for, as its payer would see it. Raises `EnvioRecusado`."""
    read = _read(code)
    payee = payee_of(frame, code=code)
    fixed, free = read.amount_centavos, False
    if payee.charge_id is not None:
        charge = _charge(frame, payee.charge_id)
        fixed, free = asked_now(frame, charge), _is_free(charge)
    shown: dict[str, Any] = {
        "tipo": "DINAMICO" if read.url else "ESTATICO",
        "chave": payee.key,
        "favorecido": {"nome": payee.name, "documento": payee.document},
    }
    if payee.txid is not None:
        shown["txid"] = payee.txid
    return shown | {"valor": shown_amount(fixed), "alteravel": free} if fixed is not None else shown


def _read(code: str) -> brcode.Code:
    try:
        read = brcode.parse(code)
    except brcode.BadCode:
        raise _rejected() from None
    if read.kind is brcode.Kind.RECURRENCE or read.facilitator is not None:
        raise _rejected()
    return read


def _of_key(frame: Frame, key: str, txid: str | None = None) -> Payee:
    row = frame.store.one(
        "select account.* from account_key join account on account.id = account_id where key = :key", key=key
    )
    if row is None:
        return Payee(key, STRANGER, STRANGERS_DOCUMENT, txid)
    return Payee(key, row["name"], row["document"], txid, row["id"])


def _of_location(frame: Frame, url: str, amount: int | None) -> Payee:
    host, _, path = url.partition("/")
    charge = locations.charge_at(frame, path.rpartition("/")[2])
    if host != frame.host or charge is None or charge["status"] != "ATIVA":
        raise _rejected()
    over = frame.now() >= charge["created_at"] + charge["expires_in_s"] * SECOND
    if over or (amount is not None and amount != asked_now(frame, charge) and not _is_free(charge)):
        raise _rejected()
    account = frame.store.all("select * from account where id = :id", id=charge["account_id"])[0]
    return Payee(charge["key"], account["name"], account["document"], charge["txid"], account["id"], charge["id"])


def _is_free(charge: Row) -> bool:
    """Tell whether the payer may pay another amount."""
    return bool(json.loads(charge["body"]).get("modalidadeAlteracao") == 1)


def _charge(frame: Frame, charge_id: int) -> Row:
    return frame.store.all("select * from charge where id = :id", id=charge_id)[0]


def _rejected() -> Problem:
    row = BY_NUMBER[21]
    return Problem("EnvioRecusado", more={"codigo": row.code, "motivo": row.meaning})
