"""The composition root: settings become dependencies, dependencies become one ASGI application with its loops."""

import asyncio
import gc
import os
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import structlog

from opentill.admin.handlers import create_admin_app
from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.api.well_known import WellKnownKeys
from opentill.callbacks.gateway import GatewayCallbacks
from opentill.callbacks.pix import PixCallbacks
from opentill.checkout.handlers import create_checkout_app
from opentill.checkout.invoice_page import create_invoice_app
from opentill.checkout.link_page import create_pay_app
from opentill.db import open_database
from opentill.db.database import Options
from opentill.gateways.sandbox import SandboxGateway
from opentill.kernel.asgi import Application, Receive, Scope, Send
from opentill.kernel.clock import SystemClock
from opentill.kernel.ids import SystemIds
from opentill.master_keys import open_keyring
from opentill.outbound import AllowList, EgressProxy, Outbound, Ports
from opentill.pix.banks import Banks
from opentill.pix.providers.bacen import Profiles
from opentill.pix.providers.in_process import InProcess
from opentill.portal.documents import create_documents_app
from opentill.portal.handlers import create_portal_app
from opentill.sandbox_psp import SandboxBank
from opentill.sandbox_psp.sending import over
from opentill.settings import Settings
from opentill.web import health
from opentill.web.browser import HEADERS as PAGE_HEADERS
from opentill.web.dependencies import Dependencies
from opentill.web.engine import engine_of
from opentill.web.exposition import Exposition
from opentill.web.hosts import Hosts
from opentill.web.rate_limit import Limits, OwnLimits
from opentill.webhooks.signing_keys import WELL_KNOWN
from opentill.workers.banks import bank_loops
from opentill.workers.deliver import deliver_loop
from opentill.workers.domains import domains_loop
from opentill.workers.exports import exports_loop
from opentill.workers.mail import mail_loop
from opentill.workers.plan import plan_loop
from opentill.workers.remind import remind_loop
from opentill.workers.replay import replay_loop
from opentill.workers.request_log import request_log_loop
from opentill.workers.resume import resume_loops
from opentill.workers.retain import retain_loop
from opentill.workers.watch import watch_loop

STOP_S: Final = 25.0  # loops finish what they hold within this
GARBAGE_OBJECTS: Final = 20_000  # made between two looks for garbage; the usual 700 costs a tenth of a request

log = structlog.get_logger("opentill")


@dataclass(frozen=True, slots=True)
class Assembly:
    """What runs in this process, beside its edges and loops."""

    dependencies: Dependencies
    sandbox: SandboxBank
    banks: Banks


@asynccontextmanager
async def assembled(settings: Settings) -> AsyncIterator[Assembly]:
    """Open what the settings name and close it again. The database must be migrated."""
    clock = SystemClock()
    ids = SystemIds(clock)
    keyring = open_keyring(settings)
    sandbox = SandboxBank(settings.data / "sandbox-bank.db", clock=clock, ids=ids)
    limits = _limits(settings)
    database = open_database(
        settings.database_url, options=Options(writers=settings.pool_size), trace=settings.trace_sql
    )
    try:
        async with database, outbound_of(settings) as outbound:
            profiles = Profiles(settings.bank_profiles)
            banks = Banks(sandbox, keyring=keyring, clock=clock, ids=ids, outbound=outbound, profiles=profiles)
            dependencies = Dependencies(
                settings=settings,
                db=database,
                clock=clock,
                ids=ids,
                keyring=keyring,
                outbound=outbound,
                gateways={"sandbox": SandboxGateway()},
                receiver=banks.receiver,
                payer=banks.payer,
                sandbox_bank=sandbox,
                limits=limits,
                trusts_database_clock=not settings.embedded,
            )
            yield Assembly(dependencies, sandbox, banks)
    finally:
        await limits.close()
        sandbox.close()


class Till:
    """The one ASGI application. Each path prefix has its own below it; the loops live as long as it does."""

    def __init__(self, settings: Settings, *, workers: bool) -> None:
        self._settings = settings
        self._workers = workers
        self._mounted: list[tuple[str, Application]] = []
        self._apis: tuple[MerchantApi, ExternalApi]
        self._dependencies: Dependencies | None = None
        self._hosts: Hosts | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
        elif scope["type"] == "http":
            await self._serve(scope, receive, send)

    async def _live(self, receive: Receive, send: Send) -> None:
        """Start, say so, and stop when told to."""
        await receive()
        try:
            async with assembled(self._settings) as assembly:
                self._mount(assembly.dependencies)
                async with loops(assembly, workers=self._workers):
                    settle_memory()
                    await send({"type": "lifespan.startup.complete"})
                    await receive()
                    for api in self._apis:
                        await api.settled()
        except Exception as fault:
            await send({"type": "lifespan.startup.failed", "message": str(fault)})
            raise
        await send({"type": "lifespan.shutdown.complete"})

    def _mount(self, dependencies: Dependencies) -> None:
        self._dependencies = dependencies
        self._hosts = Hosts(dependencies.db, dependencies.clock, dependencies.settings.public_url)
        self._apis = merchant_api, external_api = MerchantApi(dependencies), ExternalApi(dependencies)
        self._mounted = [
            ("/api/v1", merchant_api),
            ("/api/external", external_api),
            ("/checkout", create_checkout_app(dependencies)),
            ("/pay", create_pay_app(dependencies)),
            ("/invoice", create_invoice_app(dependencies)),
            ("/hooks/pix", PixCallbacks(dependencies)),
            ("/webhook", GatewayCallbacks(dependencies)),
            ("/portal", create_portal_app(dependencies)),
            ("/docs", create_documents_app(dependencies)),
            ("/metrics", Exposition(dependencies)),
            (WELL_KNOWN, WellKnownKeys(dependencies)),
            ("/api", no_such_api),
            ("", create_admin_app(dependencies)),
        ]

    async def _serve(self, scope: Scope, receive: Receive, send: Send) -> None:
        path: str = scope["path"]
        if path in ("/health", "/health/ready"):  # probes know no name
            await self._tell_health(path, send)
            return
        if self._hosts is not None and not await self._hosts.serves(scope):
            await no_such_host(scope, receive, send)
            return
        for prefix, application in self._mounted:
            if path.startswith(prefix) and path[len(prefix) : len(prefix) + 1] in ("", "/"):
                await application({**scope, "root_path": prefix}, receive, send)
                return

    async def _tell_health(self, path: str, send: Send) -> None:
        if path.endswith("/ready") and self._dependencies is not None:
            status, body = await health.ready(self._dependencies)
        else:
            status, body = health.alive()
        await _tell(send, status, body)


async def no_such_api(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer for what lies below /api and is neither of the two APIs."""
    await _tell(send, 404, b'{"success":false,"error":true,"message":"There is no such API.","code":"NOT_FOUND"}')


async def no_such_host(scope: Scope, _receive: Receive, send: Send) -> None:
    """Answer for a host that is neither the installation's nor serves this path for a merchant."""
    if scope["path"].startswith("/api"):
        body = b'{"success":false,"error":true,"message":"There is no such address.","code":"NOT_FOUND"}'
        await _tell(send, 404, body)
        return
    headers = [(b"content-type", b"text/html; charset=utf-8"), (b"cache-control", b"no-store")]
    headers += [(name.lower().encode(), value.encode()) for name, value in PAGE_HEADERS.items()]
    await send({"type": "http.response.start", "status": 404, "headers": headers})
    page = b"<!doctype html><html lang=en><title>Not found</title><h1>Not found</h1><p>Nothing is served here.</html>"
    await send({"type": "http.response.body", "body": page})


async def _tell(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"application/json"), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def loops(assembly: Assembly, *, workers: bool) -> AsyncIterator[None]:
    """Run this process's loops beside whatever the caller does, and let them finish what they hold."""
    stop = asyncio.Event()
    running = _loops(assembly, stop, workers=workers)
    tasks = [asyncio.create_task(loop, name=name) for name, loop in running.items()]
    for task in tasks:
        task.add_done_callback(_end_process_on_fault)
    try:
        yield
    finally:
        stop.set()
        if tasks:
            _, unfinished = await asyncio.wait(tasks, timeout=STOP_S)
            for task in unfinished:
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _loops(assembly: Assembly, stop: asyncio.Event, *, workers: bool) -> dict[str, Coroutine[Any, Any, None]]:
    """Return this process's loops by name: the workers, and on PostgreSQL the bells between processes."""
    dependencies = assembly.dependencies
    engine = engine_of(dependencies)
    found: dict[str, Coroutine[Any, Any, None]] = {
        "request log": request_log_loop(dependencies.request_log, dependencies.db, stop)
    }
    if workers:
        tell = over(InProcess(PixCallbacks(dependencies)))
        found["plan"] = plan_loop(engine, stop)
        found["deliver"] = deliver_loop(engine, stop)
        found["replay"] = replay_loop(engine, stop)
        found["mail"] = mail_loop(dependencies, stop)
        found["remind"] = remind_loop(dependencies, stop)
        found["resume"] = resume_loops(dependencies, stop)
        found["exports"] = exports_loop(dependencies, stop)
        found["retain"] = retain_loop(dependencies, stop)
        found["watch"] = watch_loop(dependencies, stop)
        found["domains"] = domains_loop(dependencies, stop)
        found["banks"] = bank_loops(dependencies, assembly.banks.health, stop)
        found["sandbox bank"] = assembly.sandbox.run(tell, stop)
    if not dependencies.settings.embedded:
        from opentill.db.postgres.notify import listen_loop, notify_loop  # loads PostgreSQL's driver

        url = dependencies.settings.database_url
        found["wake other processes"] = notify_loop(dependencies.db, url, stop)
        if workers:
            found["hear other processes"] = listen_loop(url, engine.to_plan.ring, stop)
    return found


def _limits(settings: Settings) -> Limits:
    if not settings.redis_url:
        return OwnLimits()
    from opentill.web.rate_limit_shared import SharedLimits  # loads the driver of Redis

    return SharedLimits(settings.redis_url)


def outbound_of(settings: Settings) -> Outbound:
    """Return the guarded client with what the settings open."""
    allow = AllowList.parse(settings.webhooks_allow.split(","))
    if settings.dev:
        allow |= AllowList.development()
    if settings.pix_webhooks_allow_private_addresses:
        allow |= AllowList.private_addresses()
    public = urlsplit(settings.public_url)
    own = (public.hostname or "", public.port or (443 if public.scheme == "https" else 80))
    return Outbound(
        allow=allow,
        ports=Ports.parse(settings.webhooks_ports),
        own=frozenset({own}),
        nat64=settings.webhooks_nat64,
        egress_proxy=EgressProxy.parse(settings.webhooks_egress_proxy) if settings.webhooks_egress_proxy else None,
    )


def settle_memory() -> None:
    """What lives as long as the process is not looked at again by the garbage collector; the rest less often."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(GARBAGE_OBJECTS, 20, 20)


def _end_process_on_fault(task: asyncio.Task[None]) -> None:
    """A loop that ended by a bug takes its process along: a supervisor starts a whole one."""
    if not task.cancelled() and task.exception() is not None:
        log.critical("loop failed", loop=task.get_name(), exc_info=task.exception())
        os.kill(os.getpid(), signal.SIGTERM)
