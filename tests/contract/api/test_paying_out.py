"""The PIX API sends money, reads what moved and hears contests, word for word (pix-api.md §12 to §14)."""

from typing import Any

import pytest

from opentill.db import Tx
from opentill.payments.pix import service as money
from opentill.pix import brcode
from opentill.pix import store as accounts
from opentill.pix.identifiers import end_to_end_id
from opentill.pix.payouts import flow as payouts
from opentill.pix.policy import Policy, set_policy
from opentill.pix.port import DecodedCode, NotSent, ProviderReceipt, ReceiptPayer
from opentill.pix.port import Refused as BankRefused
from tests.contract.api.client import declined
from tests.contract.api.house import HOOK, House, Shop

pytestmark = pytest.mark.anyio
KEY = "123e4567-e12b-12d1-a456-426655440000"
OUT = {"amount": 3000, "pix_key": "fulano@example.com", "external_id": "order-9876", "description": "Pedido 1001"}
CODE_C = (
    "00020126360014br.gov.bcb.pix0114+5511987654321520400005303986540510.005802BR5912Loja Exemplo6009SAO PAULO"
    "62140510PEDIDO00016304F359"
)
DYNAMIC = brcode.build_dynamic(url="pix.example.com/qr/v2/1", name="Loja", city="SAO PAULO")


async def funds(house: House, centavos: int = 100_000, shop: Shop | None = None) -> str:
    """Have money arrive that no charge asked for; return its end-to-end id."""
    who, ids, now = (shop or house.shop).merchant.owner, house.scene.ids, house.clock.now()
    e2e_id = end_to_end_id(ids, "99999002", now)
    payer = ReceiptPayer("João Teste", "12345678909", "99999002", "Banco Pagador de Teste")

    def book(tx: Tx) -> None:
        account = accounts.active_account(tx, owner=who)
        assert account is not None
        arrived = ProviderReceipt(e2e_id, None, centavos, None, now, payer, None)
        money.receive(tx, account, arrived, ids=ids, keyring=house.scene.keyring, now=now)

    await house.db.write(book)
    return e2e_id


async def sent(house: House, **changes: Any) -> dict[str, Any]:
    answer = await house.pix("POST", "/pix/cash-out", OUT | changes)
    assert answer.status == 200, answer.body
    found: dict[str, Any] = answer.json()
    return found


async def settled(house: House, **changes: Any) -> dict[str, Any]:
    made = await sent(house, **changes)
    house.payout_bank.next("done")
    await payouts.work_due(house.dependencies.tools)
    return made


async def test_a_payout_is_answered_as_documented(house: House) -> None:
    await funds(house)
    answer = (await house.pix("POST", "/pix/cash-out", OUT)).json()
    assert answer == {
        "worked": True,
        "transaction_id": answer["transaction_id"],
        "end_to_end_id": answer["end_to_end_id"],
        "external_id": "order-9876",
        "amount": 300_000,
        "fee_amount": 0,
        "net_amount": 300_000,
        "status": "accepted",
        "detail": "PIX enviado para processamento",
    }
    assert answer["transaction_id"].startswith("PIXOUT")
    assert (await house.pix("GET", "/balance")).json() == {
        "worked": True,
        "balance": 10_000_000,
        "available": 9_700_000,
        "pending": 300_000,
        "currency": "BRL",
    }


@pytest.mark.checklist("X30")
@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ({"pix_key": "123.456.789-09"}, "12345678909"),
        ({"pix_key": "12.abc.345/01de-35"}, "12ABC34501DE35"),
        ({"pix_key": "(51) 99825-9765"}, "+5551998259765"),
        ({"pix_key": "51998259765", "pix_key_type": "phone"}, "+5551998259765"),
        ({"pix_key": "51998259765"}, "51998259765"),
        ({"pix_key": "Fulano@Example.com"}, "fulano@example.com"),
        ({"pix_key": "123e4567e12b12d1a456426655440000"}, "123e4567-e12b-12d1-a456-426655440000"),
        ({"emv_code": CODE_C}, "+5511987654321"),
        ({"emv": CODE_C}, "+5511987654321"),
        ({"codigo_copia_cola": CODE_C}, "+5511987654321"),
    ],
)
async def test_every_spelling_of_a_recipient_is_taken(house: House, given: dict[str, str], stored: str) -> None:
    await funds(house)
    made = await house.pix("POST", "/pix/cash-out", {"amount": 1000} | given)
    row = (await house.pix("GET", f"/transactions/{made.json()['transaction_id']}")).json()["data"]
    assert (row["recipient_key"], row["amount"]) == (stored, 100_000)


@pytest.mark.checklist("X23", "X11")
@pytest.mark.parametrize(
    ("changes", "status", "detail"),
    [
        ({"amount": None}, 400, "The amount field is required"),
        ({"amount": "3000"}, 422, "amount must be an integer number of centavos"),
        ({"amount": True}, 422, "amount must be an integer number of centavos"),
        ({"amount": 0}, 422, "amount must be greater than zero"),
        ({"amount": -1}, 422, "amount must be greater than zero"),
        ({"amount": 1_000_000_000_000}, 422, "amount is outside the allowed range"),
        ({"pix_key": None}, 400, "The pix_key field is required"),
        ({"pix_key": "12345678901"}, 400, "Invalid PIX key"),
        ({"pix_key": "x@example.com", "pix_key_type": "cpf"}, 400, "Invalid PIX key"),
        ({"pix_key_type": "iban"}, 422, "pix_key_type is invalid"),
        ({"emv_code": CODE_C}, 422, "Send either pix_key or emv_code"),
        ({"pix_key": None, "emv_code": CODE_C[:-1] + "8"}, 422, "Invalid PIX code"),
        ({"pix_key": None, "emv_code": CODE_C}, 422, "amount does not match the PIX code"),
        ({"description": "x" * 141}, 422, "description must be at most 140 characters"),
        ({"external_id": "a b"}, 422, "external_id is invalid"),
        ({"end_to_end_id": "E1"}, 422, "end_to_end_id is invalid"),
        ({"amount": 100_001}, 422, "Insufficient balance"),
    ],
)
async def test_a_wrong_payout_is_refused_word_for_word_and_leaves_nothing(
    house: House, changes: dict[str, Any], status: int, detail: str
) -> None:
    await funds(house)
    asked = {name: value for name, value in (OUT | changes).items() if value is not None}
    declined(await house.pix("POST", "/pix/cash-out", asked), status, detail)
    left = await house.db.read(lambda tx: tx.all("select id from pix_payout"))
    assert list(left) == []
    assert (await house.pix("GET", "/balance")).json()["pending"] == 0


@pytest.mark.checklist("X31")
@pytest.mark.parametrize(
    ("behind", "status", "detail"),
    [
        (DecodedCode("fulano@example.com", 2_999, False, True), 422, "amount does not match the PIX code"),
        (DecodedCode("fulano@example.com", 3_000, False, False), 422, "PIX code has expired or was already paid"),
        (BankRefused("qr_rejected", "gone"), 422, "PIX code has expired or was already paid"),
        (BankRefused("provider_error", "?"), 422, "Invalid PIX code"),
        (NotSent("away"), 503, "PIX code could not be read, try again"),
    ],
)
async def test_a_dynamic_code_is_read_at_its_bank(house: House, behind: Any, status: int, detail: str) -> None:
    await funds(house)
    house.payout_bank.codes[DYNAMIC] = behind
    declined(await house.pix("POST", "/pix/cash-out", {"amount": 3000, "emv_code": DYNAMIC}), status, detail)
    house.payout_bank.codes[DYNAMIC] = DecodedCode("fulano@example.com", 1, True, True)
    assert (await house.pix("POST", "/pix/cash-out", {"amount": 3000, "emv_code": DYNAMIC})).status == 200


async def test_one_key_sends_one_payout_even_if_its_code_is_paid_by_then(house: House) -> None:
    await funds(house)
    house.payout_bank.codes[DYNAMIC] = DecodedCode("fulano@example.com", 3_000, False, True)
    asked, keyed = {"amount": 3000, "emv_code": DYNAMIC}, {"idempotency-key": "k"}
    first = await house.pix("POST", "/pix/cash-out", asked, headers=keyed)
    house.payout_bank.codes[DYNAMIC] = BankRefused("qr_rejected", "paid")
    again = await house.pix("POST", "/pix/cash-out", asked, headers=keyed)
    assert (again.status, again.body) == (first.status, first.body)
    assert again.headers["x-idempotent-replay"] == "true"


@pytest.mark.checklist("X35", "X17")
async def test_a_second_credential_approves_or_rejects(house: House) -> None:
    await funds(house)
    owner = house.shop.merchant.owner
    await house.db.write(lambda tx: set_policy(tx, Policy(approve_from_units=300_000), owner=owner))
    first, second = await sent(house), await sent(house)
    assert (first["status"], first["detail"]) == ("pending_approval", "PIX aguardando aprovacao")
    path, asked = "/pix/cash-out/approve", {"transaction_id": first["transaction_id"]}
    forbidden = await house.pix("POST", path, asked)
    assert forbidden.json()["error"]["message"] == "API key lacks permission: transfer:approve"

    approver = await house.credential(house.shop, "transfer:approve", "transfer:write")
    declined(await house.pix("POST", path, {}, shop=approver), 400, "The transaction_id field is required")
    unknown = {"transaction_id": "PIXOUT20260307a1b2c3d4e5f6"}
    declined(await house.pix("POST", path, unknown, shop=approver), 404, "Transaction not found")
    assert (await house.pix("POST", path, asked, shop=approver)).json() == {
        "worked": True,
        "transaction_id": first["transaction_id"],
        "status": "processing",
        "detail": "Transaction approved and sent for processing",
    }
    declined(await house.pix("POST", path, asked, shop=approver), 422, "Transaction has already been processed")
    rejected = await house.pix(
        "POST", path, {"transaction_id": second["transaction_id"], "decision": "reject"}, shop=approver
    )
    assert (rejected.json()["status"], rejected.json()["detail"]) == ("failed", "Transaction rejected")
    own = await house.pix("POST", "/pix/cash-out", OUT, shop=approver)
    asked = {"transaction_id": own.json()["transaction_id"]}
    declined(await house.pix("POST", path, asked, shop=approver), 422, "The creator of a payout cannot approve it")


@pytest.mark.checklist("X44")
async def test_a_transaction_is_found_by_every_id_and_by_nobody_else(house: House) -> None:
    e2e_in = await funds(house)
    made = await settled(house)
    by_id = (await house.pix("GET", f"/transactions/{made['transaction_id']}")).json()["data"]
    assert list(by_id) == [
        "id", "transaction_id", "end_to_end_id", "external_id", "type", "direction", "status", "amount", "fee_amount",
        "net_amount", "description", "counterparty_name", "recipient_key", "payer_document", "recipient_document",
        "payer_ispb", "payer_bank_name", "original_transaction_id", "created_at", "completed_at",
    ]  # fmt: skip
    assert (by_id["status"], by_id["counterparty_name"], by_id["recipient_document"]) == (
        "completed",
        "Fulano de Tal",
        "***456789**",
    )
    for path in (
        by_id["id"],
        by_id["id"].replace("-", ""),
        f"e2e/{made['end_to_end_id']}",
        "ref/order-9876",
    ):
        assert (await house.pix("GET", f"/transactions/{path}")).json()["data"] == by_id
    arrived = (await house.pix("GET", f"/transactions/e2e/{e2e_in}")).json()["data"]
    assert (arrived["direction"], "recipient_key" in arrived, arrived["payer_ispb"]) == ("inbound", False, "99999002")
    assert (await house.pix("GET", f"/transactions/{arrived['id']}")).json()["data"] == arrived

    tag = made["transaction_id"][:14]
    assert (await house.pix("GET", f"/transactions/tag/{tag}")).json()["data"] == [by_id]
    assert (await house.pix("GET", "/transactions/tag/nothing")).json() == {"worked": True, "data": []}
    declined(await house.pix("GET", "/transactions/tag/ab"), 422, "tag is invalid")
    missed = "Transacao nao encontrada para o E2E ID informado"
    declined(await house.pix("GET", f"/transactions/e2e/{made['end_to_end_id'].swapcase()}"), 404, missed)
    for path in (made["transaction_id"], by_id["id"], "ref/order-9876"):
        declined(await house.pix("GET", f"/transactions/{path}", shop=house.other), 404, "Transaction not found")
    declined(await house.pix("GET", f"/transactions/e2e/{e2e_in}", shop=house.other), 404, missed)


@pytest.mark.checklist("X26")
async def test_a_proof_has_its_fields_once_the_money_has_moved(house: House) -> None:
    await funds(house)
    made = await sent(house)
    path = f"/transactions/{made['transaction_id']}/receipt"
    declined(await house.pix("GET", path), 422, "Receipt is available only for completed transactions")
    house.payout_bank.next("done")
    await payouts.work_due(house.dependencies.tools)
    proof = (await house.pix("GET", path)).json()["receipt"]
    assert len(proof) == 17
    assert (proof["amount_formatted"], proof["fee_formatted"]) == ("R$ 30,00", "R$ 0,000")
    assert proof["institution"] == {"name": "Banco Exemplo", "cnpj": "11.222.333/0001-81", "ispb": "99999001"}
    declined(await house.pix("GET", "/transactions/none/receipt"), 404, "Transaction not found")


@pytest.mark.checklist("X45")
async def test_lists_speak_both_vocabularies(house: House) -> None:
    await funds(house)
    await house.pix("POST", "/pix/cash-in", {"amount": 3000})
    done, waiting = await settled(house), await sent(house)

    async def ids(query: str, path: str = "/transactions") -> list[str]:
        answer = await house.pix("GET", f"{path}?{query}")
        assert answer.status == 200, answer.body
        return [row["transaction_id"] for row in answer.json()["data"]]

    assert len(await ids("")) == 4
    assert len(await ids("", "/statement")) == 3
    assert await ids("status=settled&direction=outbound") == await ids("status=completed&direction=outbound")
    assert await ids("status=settled&direction=outbound") == [done["transaction_id"]]
    assert await ids("status=pending") == await ids("status=processing") == [waiting["transaction_id"]]
    assert len(await ids("status=active")) == 1
    assert await ids("type=ted") == []
    assert await ids("external_id=order-9876&per_page=1") == [waiting["transaction_id"]]
    assert await ids("external_id=order-9876&per_page=1&page=2") == [done["transaction_id"]]
    for query in ("page=0", "per_page=101", "status=odd", "type=x", "date_from=2026-02-30", "direction=up"):
        name = query.partition("=")[0]
        declined(await house.pix("GET", f"/transactions?{query}"), 422, f"{name} is invalid")


async def test_keys_and_cpf_are_answered(house: House) -> None:
    keys = (await house.pix("GET", "/pix/keys")).json()["keys"]
    assert [(key["key"], key["key_type"], key["status"]) for key in keys] == [(KEY, "evp", "active")]
    unsigned = {"hmac": None}
    answer = await house.pix("POST", "/cpf/validate", {"cpf": "123.456.789-09"}, headers=unsigned)
    assert answer.json() == {"worked": True, "valid": True, "formatted": "123.456.789-09"}
    wrong = await house.pix("POST", "/cpf/validate", {"document_number": "12345678901"})
    assert wrong.json() == {"worked": True, "valid": False, "formatted": None}
    declined(await house.pix("POST", "/cpf/validate", {}), 400, "The cpf field is required")
    assert (await house.pix("POST", "/cpf/validate", {}, headers={"hmac": "0" * 128})).status == 401


@pytest.mark.checklist("X19")
async def test_the_balance_is_not_counted(house: House) -> None:
    counted = await house.pix("GET", "/pix/keys")
    free = await house.pix("GET", "/balance")
    assert "x-ratelimit-limit" in counted.headers
    assert "x-ratelimit-limit" not in free.headers


@pytest.mark.checklist("X18")
async def test_keys_of_queries_and_answers_follow_the_case(house: House) -> None:
    await funds(house)
    camel = {"x-key-case": "camelCase"}
    made = await house.pix(
        "POST", "/pix/cash-out", {"amount": 1000, "pixKey": "fulano@example.com", "externalId": "a"}, headers=camel
    )
    assert made.json()["endToEndId"].startswith("E")
    rows = await house.pix("GET", "/transactions?perPage=1&externalId=a", headers=camel)
    assert (rows.json()["perPage"], rows.json()["data"][0]["recipientKey"]) == (1, "fulano@example.com")


@pytest.mark.checklist("X40")
async def test_a_refund_is_answered_and_refused_word_for_word(house: House) -> None:
    e2e_id = await funds(house)
    path = "/pix/refund"
    declined(await house.pix("POST", path, {}), 400, "The original_transaction_id field is required")
    unknown = {"original_transaction_id": "none", "amount": "x"}
    declined(await house.pix("POST", path, unknown), 404, "Original transaction not found")
    declined(
        await house.pix("POST", path, {"end_to_end_id": e2e_id}, shop=house.other),
        404,
        "Original transaction not found",
    )
    asked = {"original_e2e_id": e2e_id}
    wrong = "amount must be an integer number of centavos"
    declined(await house.pix("POST", path, {**asked, "amount": "1"}), 422, wrong)
    declined(await house.pix("POST", path, {**asked, "return_code": "XX00"}), 422, "Invalid refund reason")
    too_much = "Refund amount exceeds the original transaction"
    declined(await house.pix("POST", path, {**asked, "amount": 100_001}), 422, too_much)
    made = (await house.pix("POST", path, {**asked, "amount": 1_000})).json()
    assert list(made) == ["worked", "refund_id", "transaction_id", "amount", "status"]
    assert (made["transaction_id"][:5], made["amount"], made["status"]) == ("PIXIN", 100_000, "processing")
    row = (await house.pix("GET", f"/transactions/{made['refund_id']}")).json()["data"]
    assert (row["direction"], row["status"], row["original_transaction_id"]) == (
        "outbound",
        "processing",
        made["transaction_id"],
    )
    payout = await settled(house)
    refused = {"original_transaction_id": payout["transaction_id"]}
    declined(await house.pix("POST", path, refused), 422, "Transaction is not refundable")


@pytest.mark.checklist("X52")
async def test_an_endpoint_is_read_changed_paused_and_its_secret_rotated(house: House) -> None:
    made = (await house.pix("POST", "/webhooks", HOOK)).json()
    path = f"/webhooks/{made['id']}"
    shown = (await house.pix("GET", path)).json()["webhook"]
    assert (shown["url"], shown["is_active"], shown["retry_schedule"]) == (HOOK["url"], True, None)
    assert "secret" not in shown
    changes = {"is_active": False, "timeout_seconds": 5, "retry_schedule": [1, 2], "description": "x"}
    changed = (await house.pix("PATCH", path, changes)).json()["webhook"]
    assert (changed["status"], changed["timeout_seconds"], changed["retry_schedule"]) == ("paused", 5, [1, 2])
    for name, value in (("timeout_seconds", 31), ("retry_schedule", [0]), ("retry_schedule", "x")):
        declined(await house.pix("PATCH", path, {name: value}), 422, f"{name} is invalid")
    declined(await house.pix("PATCH", path, {"url": "http://shop.example"}), 422, "URL must use HTTPS")
    declined(await house.pix("GET", path, shop=house.other), 404, "Webhook not found")

    rotated = (await house.pix("POST", f"{path}/rotate-secret", {"grace_seconds": 60})).json()
    assert list(rotated) == ["worked", "id", "secret", "previous_secret_expires_at"]
    assert rotated["secret"] != made["secret"]
    declined(await house.pix("POST", f"{path}/rotate-secret", {"grace_seconds": -1}), 422, "grace_seconds is invalid")
    listed = (await house.pix("GET", f"{path}/deliveries")).json()
    assert listed == {"worked": True, "data": [], "page": 1, "per_page": 20}
    declined(await house.pix("GET", f"{path}/deliveries?status=odd"), 422, "status is invalid")
    declined(await house.pix("GET", f"{path}/deliveries/dlv_0"), 404, "Delivery not found")
    declined(await house.pix("POST", f"{path}/deliveries/dlv_0/redeliver"), 404, "Delivery not found")


async def test_a_charge_is_cancelled_once(house: House) -> None:
    made = (await house.pix("POST", "/pix/cash-in", {"amount": 3000})).json()
    path = f"/pix/cash-in/{made['transaction_id']}/cancel"
    declined(await house.pix("POST", path, shop=house.other), 404, "Transaction not found")
    answer = await house.pix("POST", path, headers={"idempotency-key": "k"})
    assert answer.json() == {"worked": True, "transaction_id": made["transaction_id"], "status": "cancelled"}
    assert (await house.pix("POST", path, headers={"idempotency-key": "k"})).body == answer.body
    declined(await house.pix("POST", path), 422, "Transaction has already been processed")
