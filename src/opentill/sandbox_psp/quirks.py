"""Manners of other banks that this one can take on, all accounts at once (pix-rail.md §7, §11.6)."""

import json
import re
from collections.abc import Callable, Mapping
from typing import Any, Final

from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import Answer, json_answer, render

META: Final = "quirks"
NAMES: Final = (
    "put_refuses_update",  # a second PUT on a txid is refused, in the shape of one bank's own errors
    "code_alias",  # the copy-and-paste code goes by another name
    "no_code",
    "fewer_scopes",  # charges with a due date are not granted
    "strings_in_jws",  # numbers as text in signed payloads
    "devolucoes_as_object",  # a single return outside a list
    "removido_spelling",
    "number_amounts",
)
NOT_GRANTED: Final = ("cobv.read", "cobv.write")

_CODE: Final = re.compile(rb',"pixCopiaECola":"[^"]*"')
_AMOUNT: Final = re.compile(rb'"(valor|original|multa|juros|desconto)":"([0-9]+\.[0-9]{2})"')


def chosen(frame: Frame) -> frozenset[str]:
    """Return the manners that are on."""
    row = frame.store.one("select value from meta where name = :name", name=META)
    return frozenset(json.loads(row["value"])) if row is not None else frozenset()


def choose(frame: Frame, asked: Mapping[str, object]) -> bool:
    """Switch manners on and off, the others stay; return whether all of them are known."""
    if not asked.keys() <= set(NAMES):
        return False
    wanted = {name for name in NAMES if asked.get(name, name in chosen(frame))}
    frame.store.run(
        "insert into meta (name, value) values (:name, :value) on conflict (name) do update set value = :value",
        name=META,
        value=render(sorted(wanted)),
    )
    return True


def forget(frame: Frame) -> None:
    """Be a bank without manners again."""
    frame.store.run("delete from meta where name = :name", name=META)


def twice(frame: Frame) -> Answer | None:
    """Return how a bank refuses to change a charge by a second PUT, None where this one does not."""
    if "put_refuses_update" not in chosen(frame):
        return None
    return json_answer(409, {"nome": "txid_duplicado", "mensagem": "O txid informado já foi utilizado."})


def mannered(frame: Frame, answer: Answer) -> Answer:
    """Return an answer of the Central Bank's API as a bank of these manners gives it."""
    on = chosen(frame)
    if not on or not answer.body or answer.content_type != "application/json":
        return answer
    body = answer.body
    for name, change in _CHANGES.items():
        body = change(body) if name in on else body
    return Answer(answer.status, body, answer.content_type, answer.headers)


def as_texts(node: Any) -> Any:
    """Return a document with its numbers written as text."""
    if isinstance(node, dict):
        return {name: as_texts(member) for name, member in node.items()}
    return str(node) if isinstance(node, int) and not isinstance(node, bool) else node


def _alone(body: bytes) -> bytes:
    return render(_unlisted(json.loads(body))).encode()


def _unlisted(node: Any) -> Any:
    """Return a document in which a single return stands without its list."""
    if isinstance(node, list):
        return [_unlisted(item) for item in node]
    if not isinstance(node, dict):
        return node
    changed = {name: _unlisted(member) for name, member in node.items()}
    returns = changed.get("devolucoes")
    if isinstance(returns, list) and len(returns) == 1:
        changed["devolucoes"] = returns[0]
    return changed


# Amounts come last: what was parsed and written again would lose their two decimals.
_CHANGES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "devolucoes_as_object": _alone,
    "code_alias": lambda body: body.replace(b'"pixCopiaECola"', b'"textoImagemQRcode"'),
    "no_code": lambda body: _CODE.sub(b"", body),
    "removido_spelling": lambda body: body.replace(b"REMOVIDA_PELO", b"REMOVIDO_PELO"),
    "number_amounts": lambda body: _AMOUNT.sub(rb'"\1":\2', body),
}
