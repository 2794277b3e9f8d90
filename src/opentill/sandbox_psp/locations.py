"""Locations: where payers' banks fetch a charge. One is made with each charge, or beforehand for a poster (`loc`).

A location holds one charge at most, and a charge has one at most. A poster's serves one charge after the other.
"""

from typing import Any, Final

from opentill.pix import brcode
from opentill.sandbox_psp import paging
from opentill.sandbox_psp.accounts import Account
from opentill.sandbox_psp.frame import Frame, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row

PLACE_CHARACTERS: Final = {"cob": 32, "cobv": 27}  # a location has at most 77, with the host and its path
_PATHS: Final = {"cob": "qr/v2", "cobv": "qr/v2/cobv"}
_ID_MAX: Final = 2**63 - 1
_MISSING: Final = {
    "cob": "O `location` referenciado por `loc.id` inexiste.",
    "cobv": "O location referenciado por `cobv.loc.id` inexiste.",
}
_TAKEN: Final = {
    "cob": "O `location` referenciado por `loc.id` já está sendo utilizado por outra cobrança.",
    "cobv": "O location referenciado por `cobv.loc.id` já está sendo utilizado por outra cobrança.",
}
_OTHER_KIND: Final = {
    "cob": 'O `location` referenciado por `cob.loc.id` apresenta tipo "cobv" (deveria ser "cob").',
    "cobv": 'O location referenciado por `cobv.loc.id` apresenta tipo "cob" (deveria ser "cobv").',
}


def post(frame: Frame, account: Account, request: Request) -> Answer:
    """`POST /loc`: make a location for charges to come."""
    kind = request.document.get("tipoCob")
    if kind not in PLACE_CHARACTERS:
        reason = "o campo `tipoCob` não respeita o _schema_."
        raise Problem("PayloadLocationOperacaoInvalida", [Violation(reason, "tipoCob")])
    made = _insert(frame, account.id, kind, new_place(frame, kind))
    return json_answer(201, _document(frame, made))


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /loc/{id}`."""
    return json_answer(200, _complete(frame, _owned(frame, account, request.parts[-1])))


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /loc`: the account's locations by instant of creation."""
    window = paging.read_window(request.query, "PayloadLocationConsultaInvalida")
    tail = """
        from location
       where account_id = :account_id and created_at between :start and :end
         and (:kind is null or kind = :kind)
         and (:with_txid is null or (charge_id is not null) = (:with_txid = 'true'))
       order by created_at, id
    """
    given = {
        "account_id": account.id,
        "kind": request.query.get("tipoCob"),
        "with_txid": request.query.get("txIdPresente"),
    }
    rows, paged = paging.page(frame, window, tail, given)
    shown = paging.echoed(request.query, window, paged, ("tipoCob",), ("txIdPresente",))
    return json_answer(200, {"parametros": shown, "loc": [_complete(frame, row) for row in rows]})


def unbind(frame: Frame, account: Account, request: Request) -> Answer:
    """`DELETE /loc/{id}/txid`: free a location of its charge, which then has none."""
    freed = _owned(frame, account, request.parts[-2])
    frame.store.run("update location set charge_id = null where id = :id", id=freed["id"])
    return json_answer(200, _document(frame, freed))


def charge_at(frame: Frame, place: str) -> Row | None:
    """Return the charge that the last part of a location leads to."""
    return frame.store.one(
        "select charge.* from location join charge on charge.id = charge_id where location.place = :place", place=place
    )


def violation(frame: Frame, account: Account, kind: str, named: object, txid: str) -> Violation | None:
    """Return what is wrong with the `loc` a charge names, None where it may have it."""
    member = f"{kind}.loc.id"
    number = named.get("id") if isinstance(named, dict) else None
    found = _find(frame, account, number) if type(number) is int and 0 < number <= _ID_MAX else None
    if found is None:
        return Violation(_MISSING[kind], member)
    if found["kind"] != kind:
        return Violation(_OTHER_KIND[kind], member)
    if found["charge_id"] is not None and _txid_of(frame, found) != txid:
        return Violation(_TAKEN[kind], member)
    return None


def make_for(frame: Frame, charge: Row) -> None:
    """Make a new charge a location of its own."""
    _insert(frame, charge["account_id"], charge["kind"], charge["place"], charge["id"])


def bind(frame: Frame, charge: Row, location_id: int) -> None:
    """Give a charge a location that may be its own, instead of the one it had."""
    frame.store.run("update location set charge_id = null where charge_id = :id", id=charge["id"])
    frame.store.run("update location set charge_id = :charge where id = :id", charge=charge["id"], id=location_id)


def shown(frame: Frame, account: Account, charge: Row) -> dict[str, Any]:
    """Return the members a charge's document has for its location and its code, none where it has no location."""
    bound = frame.store.one("select * from location where charge_id = :id", id=charge["id"])
    if bound is None:
        return {}
    url = _url(frame, bound)
    code = brcode.build_dynamic(url=url, name=account.name, city=account.city)
    return {"loc": _document(frame, bound) | {"txid": charge["txid"]}, "location": url, "pixCopiaECola": code}


def new_place(frame: Frame, kind: str) -> str:
    """Return the last part of a new location."""
    return frame.ids.timed_hex(PLACE_CHARACTERS[kind])


def _insert(frame: Frame, account_id: int, kind: str, place: str, charge_id: int | None = None) -> Row:
    return frame.store.all(
        """
        insert into location (account_id, kind, place, charge_id, created_at)
        values (:account_id, :kind, :place, :charge_id, :now)
        returning *
        """,
        account_id=account_id,
        kind=kind,
        place=place,
        charge_id=charge_id,
        now=frame.now(),
    )[0]


def _find(frame: Frame, account: Account, number: int) -> Row | None:
    return frame.store.one(
        "select * from location where id = :id and account_id = :account_id", id=number, account_id=account.id
    )


def _owned(frame: Frame, account: Account, text: str) -> Row:
    known = text.isascii() and text.isdecimal() and len(text) < len(str(_ID_MAX))
    found = _find(frame, account, int(text)) if known else None
    if found is None:
        raise Problem("PayloadLocationNaoEncontrado")
    return found


def _txid_of(frame: Frame, location: Row) -> str:
    txid: str = frame.store.all("select txid from charge where id = :id", id=location["charge_id"])[0]["txid"]
    return txid


def _url(frame: Frame, location: Row) -> str:
    """Return where a payer's bank fetches the charge, without scheme."""
    return f"{frame.host}/{_PATHS[location['kind']]}/{location['place']}"


def _document(frame: Frame, location: Row) -> dict[str, Any]:
    return {
        "id": location["id"],
        "location": _url(frame, location),
        "tipoCob": location["kind"],
        "criacao": shown_at(location["created_at"]),
    }


def _complete(frame: Frame, location: Row) -> dict[str, Any]:
    """Return a location with the txid of its charge, if it has one."""
    bound = {"txid": _txid_of(frame, location)} if location["charge_id"] is not None else {}
    return _document(frame, location) | bound
