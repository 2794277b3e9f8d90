"""Accounts of the bank, and the tokens their owners act with."""

import binascii
import hashlib
import hmac
from base64 import b64decode
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import parse_qs, unquote

from opentill.kernel.clock import SECOND
from opentill.kernel.errors import Conflict, Refused
from opentill.pix.brcode import BadCode, shown_text
from opentill.pix.documents import is_cnpj
from opentill.pix.keys import detect
from opentill.sandbox_psp import quirks
from opentill.sandbox_psp.frame import Frame
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.store import Row

TOKEN_LIFETIME_S: Final = 3_600
TOKEN_CHARACTERS: Final = 40
SCOPES: Final = (
    "cob.read",
    "cob.write",
    "cobv.read",
    "cobv.write",
    "payloadlocation.read",
    "payloadlocation.write",
    "pix.read",
    "pix.write",
    "webhook.read",
    "webhook.write",
    "envio.read",
    "envio.write",
)


@dataclass(frozen=True, slots=True)
class Account:
    """Whose token a request carries, and what it may do."""

    id: int
    document: str
    name: str
    city: str
    scopes: frozenset[str]


def open_account(
    frame: Frame,
    *,
    client_id: str,
    client_secret: str,
    document: str,
    name: str,
    city: str,
    keys: Iterable[str],
    scopes: Sequence[str] = SCOPES,
) -> None:
    """Open an account, or bring the one of this *client_id* up to date: keys are added, the rest replaced.

    The caller chooses id and secret and stores them first, so it may repeat this after a crash.
    Raises `Refused`: `bad_document`, `bad_key`, and the conflict `key_taken` for a key of another account.
    """
    if not is_cnpj(document):
        raise Refused("bad_document", "The account's document must be a CNPJ.")
    owned = [detect(key).value for key in keys]
    _refuse_foreign_keys(frame, client_id, owned)
    account_id = _upsert(
        frame,
        client_id=client_id,
        secret_hash=_hash(client_secret),
        document=document,
        name=_carried(name, "RECEBEDOR"),
        city=_carried(city, "BRASILIA"),
        scopes=" ".join(scopes),
    )
    for key in owned:
        frame.store.run(
            "insert into account_key (key, account_id) values (:key, :account_id) on conflict do nothing",
            key=key,
            account_id=account_id,
        )


def grant_token(frame: Frame, request: Request) -> tuple[Answer, int | None]:
    """Answer a token call, and say whose it was."""
    form = {name: values[0] for name, values in parse_qs(request.body.decode("latin-1")).items()}
    client_id, secret = _presented(request, form)
    row = frame.store.one("select * from account where client_id = :client_id", client_id=client_id)
    if row is None or not hmac.compare_digest(row["secret_hash"], _hash(secret)):
        return _oauth_error(401, "invalid_client"), None
    if form.get("grant_type") != "client_credentials":
        return _oauth_error(400, "unsupported_grant_type"), row["id"]
    refused = quirks.NOT_GRANTED if "fewer_scopes" in quirks.chosen(frame) else ()
    allowed = [scope for scope in row["scopes"].split() if scope not in refused]
    asked = form.get("scope", "").split() or allowed
    granted = " ".join(scope for scope in asked if scope in allowed)
    if not granted:
        return _oauth_error(400, "invalid_scope"), row["id"]
    token = _issue(frame, row["id"], granted)
    body = {
        "access_token": token,
        "token_type": "Bearer",
        "expires_in": TOKEN_LIFETIME_S,
        "scope": granted,
    }
    return json_answer(200, body), row["id"]


def authorised(frame: Frame, request: Request) -> Account | None:
    """Return the account a request acts for, or None without a token that is still good."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    row = frame.store.one(
        """
        select account.id, account.document, account.name, account.city, token.scopes
          from token join account on account.id = token.account_id
         where token.hash = :hash and token.expires_at > :now
        """,
        hash=_hash(token),
        now=frame.clock.now(),
    )
    return _account(row) if row else None


def require_scope(account: Account, scope: str) -> None:
    """Raise `AcessoNegado` unless the token carries the scope."""
    if scope not in account.scopes:
        raise Problem("AcessoNegado")


def owns(frame: Frame, account: Account, key: str) -> bool:
    """Tell whether a key is one of the account's."""
    return (
        frame.store.one(
            "select 1 from account_key where key = :key and account_id = :account_id",
            key=key,
            account_id=account.id,
        )
        is not None
    )


def account_id_of(frame: Frame, client_id: str | None) -> int | None:
    """Return the account of a client id, None for none given. Raises `NaoEncontrado` for an unknown one."""
    if client_id is None:
        return None
    row = frame.store.one("select id from account where client_id = :client_id", client_id=client_id)
    if row is None:
        raise Problem("NaoEncontrado")
    return int(row["id"])


def _carried(text: str, otherwise: str) -> str:
    """Return a name as codes can carry it; a bank has one ready for names they cannot."""
    try:
        return shown_text(text)
    except BadCode:
        return otherwise


def _upsert(frame: Frame, **given: str) -> int:
    row = frame.store.one(
        """
        insert into account (client_id, secret_hash, document, name, city, scopes, created_at)
        values (:client_id, :secret_hash, :document, :name, :city, :scopes, :now)
        on conflict (client_id) do update
           set secret_hash = excluded.secret_hash, document = excluded.document, name = excluded.name,
               city = excluded.city, scopes = excluded.scopes
        returning id
        """,
        now=frame.now(),
        **given,
    )
    assert row is not None  # noqa: S101 - an insert that did not raise returns its row
    return int(row["id"])


def _refuse_foreign_keys(frame: Frame, client_id: str, keys: Iterable[str]) -> None:
    for key in keys:
        row = frame.store.one(
            """
            select client_id from account_key join account on account.id = account_id where key = :key
            """,
            key=key,
        )
        if row is not None and row["client_id"] != client_id:
            raise Conflict("key_taken", "The key belongs to another account of the sandbox bank.")


def _issue(frame: Frame, account_id: int, scopes: str) -> str:
    token = frame.ids.alnum(TOKEN_CHARACTERS)
    now = frame.clock.now()
    frame.store.run("delete from token where expires_at <= :now", now=now)
    frame.store.run(
        """
        insert into token (hash, account_id, scopes, expires_at)
        values (:hash, :account_id, :scopes, :expires_at)
        """,
        hash=_hash(token),
        account_id=account_id,
        scopes=scopes,
        expires_at=now + TOKEN_LIFETIME_S * SECOND,
    )
    return token


def _presented(request: Request, form: dict[str, str]) -> tuple[str, str]:
    scheme, _, packed = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return form.get("client_id", ""), form.get("client_secret", "")
    try:
        client_id, _, secret = b64decode(packed, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    return unquote(client_id), unquote(secret)


def _account(row: Row) -> Account:
    return Account(row["id"], row["document"], row["name"], row["city"], frozenset(row["scopes"].split()))


def _oauth_error(status: int, error: str) -> Answer:
    return json_answer(status, {"error": error})


def _hash(text: str) -> str:
    """Return what is kept of a secret. They are long and random, so a plain hash is enough."""
    return hashlib.sha256(text.encode()).hexdigest()
