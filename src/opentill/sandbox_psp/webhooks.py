"""Where the bank announces receipts, one URL a key: `webhook` (pix-rail.md §11.2)."""

from typing import Any
from urllib.parse import urlsplit

from opentill.kernel.errors import Refused
from opentill.pix.keys import detect
from opentill.sandbox_psp import paging
from opentill.sandbox_psp.accounts import Account, owns
from opentill.sandbox_psp.frame import Frame, shown_at
from opentill.sandbox_psp.http import Answer, Request, json_answer
from opentill.sandbox_psp.problems import Problem, Violation
from opentill.sandbox_psp.store import Row


def put(frame: Frame, account: Account, request: Request) -> Answer:
    """`PUT /webhook/{chave}`."""
    key, url = request.parts[-1], request.document.get("webhookUrl")
    violations = _violations(frame, account, key, url)
    if violations:
        raise Problem("WebhookOperacaoInvalida", violations)
    frame.store.run(
        """
        insert into webhook (key, account_id, url, created_at) values (:key, :account_id, :url, :now)
        on conflict (key) do update set url = excluded.url, created_at = excluded.created_at
        """,
        key=key,
        account_id=account.id,
        url=url,
        now=frame.now(),
    )
    return Answer(200)


def read(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /webhook/{chave}`."""
    row = frame.store.one(
        "select * from webhook where key = :key and account_id = :account_id",
        key=request.parts[-1],
        account_id=account.id,
    )
    if row is None:
        raise Problem("WebhookNaoEncontrado")
    return json_answer(200, _document(account, row))


def remove(frame: Frame, account: Account, request: Request) -> Answer:
    """`DELETE /webhook/{chave}`."""
    gone = frame.store.run(
        "delete from webhook where key = :key and account_id = :account_id",
        key=request.parts[-1],
        account_id=account.id,
    )
    if not gone:
        raise Problem("WebhookNaoEncontrado")
    return Answer(204)


def listed(frame: Frame, account: Account, request: Request) -> Answer:
    """`GET /webhook`."""
    window = paging.read_window(request.query, "WebhookConsultaInvalida", required=False)
    tail = """
        from webhook
       where account_id = :account_id and created_at between :start and :end
       order by created_at, key
    """
    rows, paged = paging.page(frame, window, tail, {"account_id": account.id})
    shown = paging.echoed(request.query, window, paged)
    return json_answer(200, {"parametros": shown, "webhooks": [_document(account, row) for row in rows]})


def _violations(frame: Frame, account: Account, key: str, url: object) -> list[Violation]:
    found = []
    try:
        detect(key)
    except Refused:
        found.append(Violation("o parâmetro {chave} não corresponde a uma chave DICT válida.", "chave"))
    if not found and not owns(frame, account, key):
        reason = "o parâmetro {chave} não corresponde a uma chave DICT pertencente a este usuário recebedor."
        found.append(Violation(reason, "chave"))
    if not isinstance(url, str) or urlsplit(url).scheme not in ("https", "http") or not urlsplit(url).hostname:
        found.append(Violation("Campo webhook.webhookUrl não respeita o _schema_.", "webhook.webhookUrl"))
    return found


def _document(account: Account, row: Row) -> dict[str, Any]:
    return {
        "webhookUrl": row["url"],
        "chave": row["key"],
        "cnpj": account.document,
        "criacao": shown_at(row["created_at"]),
    }
