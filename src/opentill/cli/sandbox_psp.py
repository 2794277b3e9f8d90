"""`opentill sandbox-psp`: the sandbox bank as a server of its own, with or without client certificates."""

import ssl
from pathlib import Path
from typing import Annotated, Final

import typer
import uvicorn

from opentill.kernel.clock import SystemClock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import Ids, SeededIds, SystemIds
from opentill.kernel.secret import Secret
from opentill.outbound import TlsProfile
from opentill.sandbox_psp import SandboxBank
from opentill.sandbox_psp.certs import make_certificates
from opentill.sandbox_psp.frame import LOCATION_HOST
from opentill.sandbox_psp.signing import Algorithm
from opentill.sandbox_psp.standalone import Standalone

app = typer.Typer(help="The sandbox bank as a server of its own.", invoke_without_command=True)

DEFAULT_PORT: Final = 8100
NAMES: Final = ("localhost", "127.0.0.1", LOCATION_HOST)


@app.callback()
def serve(
    context: typer.Context,
    file: Annotated[Path, typer.Option(help="The bank's books.")] = Path("sandbox-bank.db"),
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = DEFAULT_PORT,
    location_host: Annotated[str, typer.Option(help="Host in the codes it issues.")] = LOCATION_HOST,
    sim_token: Annotated[
        str | None, typer.Option(envvar="OPENTILL_SIM_TOKEN", help="Opens the hooks under /_sim to who knows it.")
    ] = None,
    signs_with: Annotated[Algorithm, typer.Option(help="What its payloads are signed with.")] = Algorithm.RS256,
    seed: Annotated[int | None, typer.Option(help="Make the same ids in every run.")] = None,
    certs: Annotated[
        Path | None, typer.Option(help="Folder made by 'certs': speak TLS and ask callers for a certificate.")
    ] = None,
) -> None:
    """Serve the Central Bank's API, payouts and contests, to whoever has an account there."""
    if context.invoked_subcommand is not None:
        return
    clock = SystemClock()
    ids: Ids = SystemIds(clock) if seed is None else SeededIds(seed, clock)
    bank = SandboxBank(
        file,
        clock=clock,
        ids=ids,
        sim_token=Secret(sim_token) if sim_token else None,
        host=location_host,
        algorithm=signs_with,
    )
    scheme = "https" if certs else "http"
    print(f"The sandbox bank answers at {scheme}://{host}:{port}. Stop it with Ctrl-C.", flush=True)
    try:
        uvicorn.Server(_config(Standalone(bank, tls=_notifier(certs)), host, port, certs)).run()
    finally:
        bank.close()


@app.command("certs")
def certs(
    folder: Annotated[Path, typer.Argument(help="Where to write them.")],
    name: Annotated[list[str] | None, typer.Option(help="A name or address of the bank; repeat for several.")] = None,
) -> None:
    """Make an authority and the certificates of bank, caller and notifier."""
    for path in make_certificates(folder, name or NAMES, SystemClock().now()):
        print(path)


def _config(application: Standalone, host: str, port: int, certs: Path | None) -> uvicorn.Config:
    tls = (
        {}
        if certs is None
        else {
            "ssl_certfile": str(certs / "server.pem"),
            "ssl_keyfile": str(certs / "server.key"),
            "ssl_ca_certs": str(certs / "ca.pem"),
            "ssl_cert_reqs": ssl.CERT_REQUIRED,
        }
    )
    return uvicorn.Config(
        application,
        host=host,
        port=port,
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        **tls,  # type: ignore[arg-type]
    )


def _notifier(certs: Path | None) -> TlsProfile | None:
    """Return the certificate the bank presents where it notifies."""
    if certs is None:
        return None
    try:
        certificate, key = (certs / "notifier.pem").read_text(), (certs / "notifier.key").read_text()
        return TlsProfile((certs / "ca.pem").read_text(), certificate, Secret(key))
    except OSError:
        raise Refused("NO_CERTIFICATES", f"{certs} has no certificates; make them with 'sandbox-psp certs'.") from None
