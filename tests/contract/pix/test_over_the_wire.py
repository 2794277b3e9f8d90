"""The adapter and the sandbox bank over real sockets with client certificates; all they say is held to the document."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import uvicorn

from opentill.kernel.clock import SECOND, Instant, SystemClock, after
from opentill.kernel.ids import SystemIds
from opentill.kernel.secret import Secret
from opentill.outbound import AllowList, Outbound, TlsProfile
from opentill.pix.port import CallFailed, ChargeState, NotSent, Payer, PayoutState, RawRequest, ReturnState
from opentill.pix.providers.http import OverHttp
from opentill.sandbox_psp.certs import make_certificates
from tests.contract.pix import bacen_document
from tests.contract.pix.scene import HOOK, KEY, Scene, open_bank
from tests.contract.pix.test_bacen_document import Witness
from tests.fakes.authority import Authority

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        not bacen_document.FILE.exists(), reason="the Central Bank's document is not beside this repository"
    ),
]

AUTHORITY = Authority()
STRANGER = Authority()


@asynccontextmanager
async def wired(folder: Path, presented: TlsProfile, server: ssl.SSLContext) -> AsyncIterator[Scene]:
    """A bank behind a TLS server that lets nobody in without a certificate, and the way to it."""
    clock, ids = SystemClock(), SystemIds()
    bank = open_bank(folder, clock, ids)
    config = uvicorn.Config(bank, host="127.0.0.1", port=0, lifespan="off", log_config=None)
    config.load()
    config.ssl = server
    running = uvicorn.Server(config)
    serving = asyncio.create_task(running.serve())
    while not running.started:  # noqa: ASYNC110 - the server has no event to wait for
        await asyncio.sleep(0.01)
    port = running.servers[0].sockets[0].getsockname()[1]
    async with Outbound(allow=AllowList.development()) as client:
        yield Scene(bank, OverHttp(client, tls=presented), f"https://localhost:{port}", clock, ids)
    running.should_exit = True
    await serving
    bank.close()


def known(authority: Authority = AUTHORITY) -> TlsProfile:
    certificate, key = authority.client_certificate("opentill.example.com")
    return TlsProfile(AUTHORITY.roots, certificate, Secret(key))


@pytest.fixture
async def scene(tmp_path: Path) -> AsyncIterator[Scene]:
    async with wired(tmp_path, known(), AUTHORITY.server_wanting_certificates("localhost")) as scene:
        scene.transport = Witness(scene.transport, scene.url)
        yield scene


async def settled(scene: Scene, seconds: float = 1.1) -> None:
    await asyncio.sleep(seconds)
    await scene.tick()


@pytest.mark.checklist("L22")
async def test_the_whole_life_of_money_follows_the_document_over_mutual_tls(scene: Scene) -> None:
    receiver, payer = scene.receiver(), scene.payer()
    await receiver.ensure_webhook(KEY, HOOK)
    asked = scene.request(message="Pedido 1001", payer=Payer("12ABC34501DE35", "Empresa Alfa Ltda"))
    charge = await receiver.create_charge(asked)
    [e2e_id] = await scene.bank.pay(asked.txid)
    await scene.tick()
    [hint] = receiver.parse_notification(_request(scene))
    receipt = await receiver.get_receipt(hint.ref)
    assert receipt is not None
    assert (receipt.e2e_id, receipt.amount_centavos) == (e2e_id, 3000)

    await receiver.request_return(e2e_id, "PIXRET1", 1000, "Devolução PIX")
    sent = await payer.submit(scene.payout(500))
    await settled(scene)
    back = await receiver.get_return(e2e_id, "PIXRET1")
    assert back is not None
    assert back.state is ReturnState.COMPLETED
    done = await payer.query(sent.ref, sent.e2e_id)
    assert done is not None
    assert done.state is PayoutState.COMPLETED

    removed = await receiver.create_charge(scene.request())
    assert (await receiver.cancel_charge(removed.txid)).state is ChargeState.CANCELLED
    page = await receiver.list_receipts(Instant(charge.created_at - SECOND), after(scene.clock.now(), SECOND))
    assert [found.returns[0].ref for found in page.items] == ["PIXRET1"]
    assert await receiver.get_charge("ot0000000000000000000000000") is None

    witness = scene.transport
    assert isinstance(witness, Witness)
    assert {(method, path) for method, path, _ in witness.seen} >= {
        ("PUT", "/cob/{txid}"),
        ("GET", "/cob/{txid}"),
        ("PATCH", "/cob/{txid}"),
        ("GET", "/pix/{e2eid}"),
        ("GET", "/pix"),
        ("PUT", "/pix/{e2eid}/devolucao/{id}"),
        ("GET", "/pix/{e2eid}/devolucao/{id}"),
        ("PUT", "/webhook/{chave}"),
        ("GET", "/webhook/{chave}"),
    }
    for _, body in scene.told:
        assert bacen_document.faults(bacen_document.notification_schema(), body) == []


@pytest.mark.parametrize("fault", ["http_400", "http_500", "timeout_after", "timeout_before", "html_200", "truncated"])
async def test_faults_end_in_the_same_class_over_the_wire(scene: Scene, fault: str) -> None:
    outcome = {"http_400": "refused"}.get(fault, "ambiguous")
    scene.transport = scene.transport.inner  # type: ignore[attr-defined] - these answers do not follow the document
    await scene.fault("charge.create", fault)
    with pytest.raises(CallFailed) as failed:
        await scene.receiver().create_charge(scene.request())
    assert failed.value.outcome == outcome


@pytest.mark.parametrize("presented", [TlsProfile(AUTHORITY.roots), known(STRANGER)], ids=["none", "a stranger's"])
async def test_without_a_certificate_of_the_bank_nothing_is_asked(tmp_path: Path, presented: TlsProfile) -> None:
    server = AUTHORITY.server_wanting_certificates("localhost")
    async with wired(tmp_path, presented, server) as scene:
        with pytest.raises(NotSent):
            await scene.receiver().create_charge(scene.request())


async def test_a_bank_with_another_name_or_authority_is_not_spoken_to(tmp_path: Path) -> None:
    for number, server in enumerate((AUTHORITY.server("elsewhere.example"), AUTHORITY.self_signed("localhost"))):
        folder = tmp_path / str(number)
        folder.mkdir()
        async with wired(folder, known(), server) as scene:
            with pytest.raises(NotSent):
                await scene.receiver().create_charge(scene.request())


async def test_the_certificates_the_command_makes_let_the_adapter_in(tmp_path: Path) -> None:
    certs = tmp_path / "certs"
    written = make_certificates(certs, ["localhost"], SystemClock().now())
    assert {path.stat().st_mode & 0o777 for path in written} == {0o600}
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=certs / "ca.pem")
    server.load_cert_chain(certs / "server.pem", certs / "server.key")
    server.verify_mode = ssl.CERT_REQUIRED
    presented = TlsProfile(
        (certs / "ca.pem").read_text(), (certs / "client.pem").read_text(), Secret((certs / "client.key").read_text())
    )
    async with wired(tmp_path, presented, server) as scene:
        assert (await scene.receiver().create_charge(scene.request())).state is ChargeState.ACTIVE


def _request(scene: Scene) -> RawRequest:
    return RawRequest(json.dumps(scene.told[-1][1]).encode(), {})
