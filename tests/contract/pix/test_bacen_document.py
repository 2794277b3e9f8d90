"""Everything the sandbox bank says, and everything the adapter asks, held against the Central Bank's document."""

import json
from base64 import urlsafe_b64decode
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from opentill.kernel.clock import SECOND, Instant, after
from opentill.pix.port import Payer
from opentill.pix.providers.transport import RawAnswer, Transport
from tests.contract.pix import bacen_document
from tests.contract.pix.scene import HOOK, IN_PROCESS_URL, KEY, OTHER_KEY, Scene, in_process

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not bacen_document.FILE.exists(), reason="the Central Bank's document is not beside this repository"
    ),
]


class Witness:
    """A transport that holds requests and answers against the document on their way."""

    def __init__(self, inner: Transport, url: str = IN_PROCESS_URL) -> None:
        self.inner = inner
        self.url = url
        self.seen: set[tuple[str, str, int]] = set()

    async def request(
        self, method: str, url: str, headers: Mapping[str, str], body: bytes, timeout_s: float
    ) -> RawAnswer:
        answer = await self.inner.request(method, url, headers, body, timeout_s)
        path = url.removeprefix(self.url)
        if path.startswith("/api/v2/") and answer.status != 401:
            self.check(method, path, body, answer)
        return answer

    def check(self, method: str, path: str, body: bytes, answer: RawAnswer) -> None:
        self.seen.add((method, bacen_document.template(path), answer.status))
        if body and answer.status < 300:
            assert bacen_document.faults(bacen_document.body_schema(method, path), json.loads(body)) == []
        if answer.status >= 400:
            schema: object = bacen_document.named("Problema")
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(answer.body)["correlationId"]
        else:
            schema = bacen_document.answer_schema(method, path, answer.status)
        if schema is None:
            assert answer.body == b""
        else:
            assert isinstance(schema, dict)
            assert bacen_document.faults(schema, json.loads(answer.body)) == []


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with in_process(tmp_path) as scene:
        scene.transport = Witness(scene.transport)
        yield scene


async def bank_call(scene: Scene, method: str, path: str, document: object = None) -> RawAnswer:
    """Make a call of the document that the adapter has no use for."""
    form = b"grant_type=client_credentials&client_id=shop&client_secret=shop-secret"
    token = await scene.transport.request("POST", f"{IN_PROCESS_URL}/oauth/token", {}, form, 5)
    headers = {"Authorization": f"Bearer {json.loads(token.body)['access_token']}"}
    body = b"" if document is None else json.dumps(document).encode()
    return await scene.transport.request(method, f"{IN_PROCESS_URL}/api/v2{path}", headers, body, 5)


def around(scene: Scene) -> str:
    now = scene.clock.now() // SECOND
    return f"inicio=2020-01-01T00:00:00Z&fim={1970 + now // 31_556_952 + 1}-01-01T00:00:00Z"


@pytest.mark.checklist("L22")
async def test_the_life_of_a_charge_follows_the_document(scene: Scene) -> None:
    receiver = scene.receiver()
    payer = Payer("12ABC34501DE35", "Empresa Alfa Ltda")
    paid = scene.request(message="Pedido 1001", payer=payer, info=(("Pedido", "1001"),))
    await receiver.create_charge(paid)
    await receiver.create_charge(paid)
    [e2e_id] = await scene.bank.pay(paid.txid)
    await scene.sim("POST", "pay", {"key": KEY, "amount": 100, "message": "sem txid"})
    removed = await receiver.create_charge(scene.request())
    await receiver.cancel_charge(removed.txid)
    await receiver.get_charge(paid.txid)
    await receiver.get_receipt(e2e_id)
    await receiver.list_receipts(Instant(scene.clock.now() - SECOND), after(scene.clock.now(), SECOND))
    for path in (f"/cob/{paid.txid}?revisao=0", f"/cob?{around(scene)}", f"/cob?{around(scene)}&status=CONCLUIDA"):
        assert (await bank_call(scene, "GET", path)).status == 200
    for filters in ("cnpj=12ABC34501DE35", f"txid={paid.txid}", "txIdPresente=true&devolucaoPresente=false"):
        assert (await bank_call(scene, "GET", f"/pix?{around(scene)}&{filters}")).status == 200


async def test_a_change_of_a_charge_follows_the_document(scene: Scene) -> None:
    made = await scene.receiver().create_charge(scene.request())
    change = {"valor": {"original": "12.34", "modalidadeAlteracao": 1}, "solicitacaoPagador": "Outro"}
    answer = await bank_call(scene, "PATCH", f"/cob/{made.txid}", change)
    document = json.loads(answer.body)
    assert (document["revisao"], document["valor"]) == (1, {"original": "12.34", "modalidadeAlteracao": 1})
    before = json.loads((await bank_call(scene, "GET", f"/cob/{made.txid}?revisao=0")).body)
    assert (before["revisao"], before["valor"]) == (0, {"original": "30.00"})


@pytest.mark.checklist("L22")
async def test_webhooks_and_notifications_follow_the_document(scene: Scene) -> None:
    receiver = scene.receiver()
    await receiver.ensure_webhook(KEY, HOOK)
    await receiver.ensure_webhook(KEY, HOOK)
    for asked in (scene.request(), scene.request()):
        await receiver.create_charge(asked)
        await scene.bank.pay(asked.txid)
    await scene.tick()
    for _, document in scene.told:
        assert bacen_document.faults(bacen_document.notification_schema(), document) == []
    assert (await bank_call(scene, "GET", "/webhook")).status == 200
    assert (await bank_call(scene, "GET", f"/webhook?{around(scene)}")).status == 200
    assert (await bank_call(scene, "DELETE", f"/webhook/{KEY}")).status == 204


@pytest.mark.checklist("L22")
async def test_the_payload_of_a_location_follows_the_document(scene: Scene) -> None:
    charge = await scene.receiver().create_charge(scene.request(message="Pedido"))
    answer = await scene.transport.request("GET", f"https://{charge.location}", {}, b"", 5)
    payload = answer.body.split(b".")[1]
    document = json.loads(urlsafe_b64decode(payload + b"=" * (-len(payload) % 4)))
    assert bacen_document.faults(bacen_document.named("CobPayload"), document) == []


@pytest.mark.checklist("L22")
async def test_the_life_of_a_location_follows_the_document(scene: Scene) -> None:
    made = json.loads((await bank_call(scene, "POST", "/loc", {"tipoCob": "cob"})).body)
    asked = {"calendario": {"expiracao": 60}, "valor": {"original": "1.00"}, "chave": KEY}
    body = asked | {"loc": {"id": made["id"]}}
    txid = scene.request().txid
    charge = json.loads((await bank_call(scene, "PUT", f"/cob/{txid}", body)).body)
    assert (charge["location"], charge["loc"]["txid"]) == (made["location"], txid)

    bound = json.loads((await bank_call(scene, "GET", f"/loc/{made['id']}")).body)
    assert bound == made | {"txid": txid}
    for filters, number in (("txIdPresente=true", 1), ("txIdPresente=false", 0), ("tipoCob=cobv", 0)):
        listed = json.loads((await bank_call(scene, "GET", f"/loc?{around(scene)}&{filters}")).body)
        assert len(listed["loc"]) == number

    assert json.loads((await bank_call(scene, "DELETE", f"/loc/{made['id']}/txid")).body) == made
    for place, number in (("true", 0), ("false", 1)):
        listed = json.loads((await bank_call(scene, "GET", f"/cob?{around(scene)}&locationPresente={place}")).body)
        assert len(listed["cobs"]) == number
    charge = json.loads((await bank_call(scene, "GET", f"/cob/{txid}")).body)
    assert (charge["revisao"], charge["status"]) == (0, "ATIVA")
    assert charge.keys() & {"loc", "location", "pixCopiaECola"} == set()


BAD_CHARGES = {
    "no lifetime": {"calendario": {"expiracao": 0}},
    "lifetime as text": {"calendario": {"expiracao": "60"}},
    "amount as number": {"valor": {"original": 30}},
    "one decimal": {"valor": {"original": "30.0"}},
    "zero": {"valor": {"original": "0.00"}},
    "no amount": {"valor": {}},
    "no key": {"chave": None},
    "foreign key": {"chave": "fulano@example.com"},
    "payer without name": {"devedor": {"cpf": "12345678909"}},
    "payer with both documents": {"devedor": {"cpf": "12345678909", "cnpj": "11222333000181", "nome": "A"}},
    "long message": {"solicitacaoPagador": "x" * 141},
    "bad info": {"infoAdicionais": [{"nome": "x"}]},
    "unknown location": {"loc": {"id": 7}},
    "location as text": {"loc": "7"},
    "impossible location": {"loc": {"id": 10**30}},
}


@pytest.mark.parametrize("name", BAD_CHARGES)
async def test_a_bad_charge_is_refused_in_the_documents_words(scene: Scene, name: str) -> None:
    good = {"calendario": {"expiracao": 60}, "valor": {"original": "1.00"}, "chave": KEY}
    answer = await bank_call(scene, "PUT", f"/cob/{scene.request().txid}", good | BAD_CHARGES[name])
    document = json.loads(answer.body)
    assert (answer.status, document["type"].rpartition("/")[2]) == (400, "CobOperacaoInvalida")
    assert document["violacoes"][0]["razao"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "name"),
    [
        ("PUT", "/cob/short", {"valor": {"original": "1.00"}, "chave": KEY}, 400, "CobOperacaoInvalida"),
        ("PUT", "/cob/" + "a" * 26, [], 400, "RequisicaoInvalida"),
        ("PATCH", "/cob/" + "a" * 26, {}, 404, "CobNaoEncontrado"),
        ("GET", "/cob/" + "a" * 26, None, 404, "CobNaoEncontrado"),
        ("GET", "/cob", None, 400, "CobConsultaInvalida"),
        ("GET", "/cob?inicio=2026-01-02T00:00:00Z&fim=2026-01-01T00:00:00Z", None, 400, "CobConsultaInvalida"),
        ("POST", "/loc", {"tipoCob": "boleto"}, 400, "PayloadLocationOperacaoInvalida"),
        ("GET", "/loc/7", None, 404, "PayloadLocationNaoEncontrado"),
        ("GET", "/loc/x", None, 404, "PayloadLocationNaoEncontrado"),
        ("DELETE", "/loc/7/txid", None, 404, "PayloadLocationNaoEncontrado"),
        ("GET", "/loc", None, 400, "PayloadLocationConsultaInvalida"),
        ("GET", "/pix/E1", None, 404, "PixNaoEncontrado"),
        ("GET", "/pix?inicio=x&fim=y", None, 400, "PixConsultaInvalida"),
        ("GET", "/webhook/" + OTHER_KEY, None, 404, "WebhookNaoEncontrado"),
        ("DELETE", "/webhook/" + OTHER_KEY, None, 404, "WebhookNaoEncontrado"),
        ("PUT", "/webhook/nobody", {"webhookUrl": HOOK}, 400, "WebhookOperacaoInvalida"),
        ("PUT", "/webhook/" + KEY, {"webhookUrl": "pay.example.com"}, 400, "WebhookOperacaoInvalida"),
    ],
)
async def test_a_refusal_has_its_name_in_the_document(
    scene: Scene, method: str, path: str, body: object, status: int, name: str
) -> None:
    answer = await bank_call(scene, method, path, body)
    assert (answer.status, json.loads(answer.body)["type"].rpartition("/")[2]) == (status, name)


@pytest.mark.parametrize(
    "filters",
    ["cpf=12345678909&cnpj=11222333000181", "paginacao.paginaAtual=-1", "paginacao.itensPorPagina=0"],
)
@pytest.mark.parametrize("path", ["/cob", "/pix"])
async def test_a_list_refuses_what_the_document_forbids(scene: Scene, path: str, filters: str) -> None:
    assert (await bank_call(scene, "GET", f"{path}?{around(scene)}&{filters}")).status == 400


async def test_a_removal_stands_alone(scene: Scene) -> None:
    made = await scene.receiver().create_charge(scene.request())
    removal = {"status": "REMOVIDA_PELO_USUARIO_RECEBEDOR"}
    for body in (removal | {"valor": {"original": "1.00"}}, {"status": "CONCLUIDA"}):
        assert (await bank_call(scene, "PATCH", f"/cob/{made.txid}", body)).status == 400
    assert (await bank_call(scene, "PATCH", f"/cob/{made.txid}", removal)).status == 200
    assert (await bank_call(scene, "PATCH", f"/cob/{made.txid}", {"chave": KEY})).status == 400


async def test_the_check_itself_finds_a_body_that_does_not_follow(scene: Scene) -> None:
    answer = await bank_call(scene, "GET", f"/cob?{around(scene)}")
    schema = bacen_document.answer_schema("GET", "/api/v2/cob", 200)
    assert schema is not None
    document = json.loads(answer.body)
    assert bacen_document.faults(schema, document) == []
    document["cobs"] = [{"txid": "short"}]
    assert any("does not match" in fault for fault in bacen_document.faults(schema, document))
