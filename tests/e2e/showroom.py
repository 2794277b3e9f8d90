"""One installation with everything in it once, served to a browser from this process, and the address of every page.

Its clock stands still, nothing runs in the background, and the panel's part of the list is the table of screens
itself: a screen that is added is looked at, or the list says what it lacks.
"""

import asyncio
import contextlib
import re
import shutil
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

import uvicorn
from starlette.applications import Starlette
from starlette.routing import Mount

from opentill.admin.handlers import create_admin_app
from opentill.api.external.app import ExternalApi
from opentill.api.merchant.app import MerchantApi
from opentill.checkout.handlers import create_checkout_app
from opentill.checkout.invoice_page import create_invoice_app
from opentill.checkout.link_page import create_pay_app
from opentill.db import Options, Tx, open_database
from opentill.kernel.secret import Secret
from opentill.operators import audit
from opentill.payments.links.model import Kind, Question
from opentill.portal.documents import create_documents_app
from opentill.portal.handlers import create_portal_app
from opentill.webhooks import planning, portal_access
from opentill.webhooks.model import BOUNDS
from tests.usecases.admin.house import READS, House, open_house, pays
from tests.usecases.checkout.shop import Browser, Shop

T = TypeVar("T")
ANY_PORT: Final = 0
OUTCOMES: Final = ("paid", "declined", "short", "pending")
NOTES: Final = ("stale", "used", "unclear", "waiting", "often", "away", "gone", "played")
FILES: Final = (".csv", "{proof}")


@dataclass
class Showroom:
    """Where it listens, the cookies of Ana, who owns it, and of a guest of the portal, and every page by a name."""

    url: str
    house: House
    loop: asyncio.AbstractEventLoop
    cookies: list[dict[str, Any]] = field(default_factory=list)
    sights: dict[str, str] = field(default_factory=dict)

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run *work* where the server runs, and return what it found."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(60)

    def writes(self, work: Any) -> Any:
        return self.do(self.house.shop.db.write(work))


@contextmanager
def opened(folder: Path, template: Path) -> Iterator[Showroom]:
    """Serve a furnished installation, kept in *folder*, until the block ends. *template* is a migrated database."""
    folder.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{shutil.copyfile(template, folder / 'opentill.db')}"
    rooms: list[Showroom] = []
    ready, over = threading.Event(), threading.Event()

    async def live() -> None:
        async with open_database(url, options=Options(writers=2, readers=2)) as database:
            config = uvicorn.Config(lambda *_: None, host="127.0.0.1", port=ANY_PORT, log_level="error", lifespan="off")
            socket = config.bind_socket()
            address = f"http://127.0.0.1:{socket.getsockname()[1]}"
            house = await open_house(database, folder, public_url=address)
            room = Showroom(address, house, asyncio.get_running_loop())
            config.app = house.shop.app = everything(house.shop)
            server = uvicorn.Server(config)
            serving = asyncio.create_task(server.serve([socket]))
            await furnish(room)
            rooms.append(room)
            ready.set()
            await asyncio.to_thread(over.wait)
            server.should_exit = True
            server.force_exit = True  # a page may still ask how its payment stands
            with contextlib.suppress(asyncio.CancelledError):
                await serving

    def run() -> None:
        try:
            asyncio.run(live())
        finally:
            ready.set()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    ready.wait(120)
    try:
        assert rooms, "the showroom did not open; its thread has printed why"
        yield rooms[0]
    finally:
        over.set()
        thread.join(30)


def everything(shop: Shop) -> Starlette:
    """Return the edges as `main` mounts them."""
    deps = shop.deps
    return Starlette(
        routes=[
            Mount("/api/v1", MerchantApi(deps)),
            Mount("/api/external", ExternalApi(deps)),
            Mount("/checkout", create_checkout_app(deps)),
            Mount("/pay", create_pay_app(deps)),
            Mount("/invoice", create_invoice_app(deps)),
            Mount("/portal", create_portal_app(deps)),
            Mount("/docs", create_documents_app(deps)),
            Mount("/", create_admin_app(deps)),
        ]
    )


async def furnish(room: Showroom) -> None:
    """Put into the house what its screens show, and note where everything is."""
    house = room.house
    browser = await house.browser()
    await sell(house, browser)
    await set_up(house, browser)
    room.sights |= {f"panel {screen.path}": house.place(screen) for screen in READS if not is_file(screen.path)}
    room.sights |= {f"panel search: {word}": f"{house.home}/search?q={word}" for word in ("nothing-like-it", "Ana")}
    room.sights |= await doors(house, browser)
    room.sights |= await paying(house.shop)
    room.sights |= await guests(room)
    room.sights |= {f"docs {name}": f"/docs/{name}" for name in ("webhooks", "errors")}
    room.sights |= {"docs merchant API": "/api/v1/docs", "missing": "/nothing"}
    room.cookies += [
        {"name": cookie.name, "value": cookie.value, "url": f"{room.url}/admin"}
        for cookie in browser.client.cookies.jar
        if cookie.value
    ]


def is_file(path: str) -> bool:
    return path.endswith(FILES)


async def sell(house: House, browser: Browser) -> None:
    """Make a link, an invoice, a refund, and a dispute."""
    await browser.opens(f"{house.home}/links/new")
    await browser.presses("Make the link", title="Workshop", amount="50.00")
    [house.names["link"]] = await column(house, "select slug from payment_link")
    await browser.opens(f"{house.home}/invoices/new")
    item = {"description0": "Bread", "quantity0": "2", "price0": "9.90"}
    await browser.presses("Make the draft", customer="Ana", **item)
    [house.names["invoice"]] = await column(house, "select uuid from invoice")
    contested = await pays(house.shop, order_id="A-2")
    await browser.opens(f"{house.home}/payments/{contested.reference}")
    await browser.presses("It is contested")
    [house.names["dispute"]] = await column(house, "select uuid from dispute")
    await browser.opens(f"{house.home}/payments/{house.names['payment']}/refunds")
    await browser.presses("Give it back", amount="1.00", reason="broken")


async def set_up(house: House, browser: Browser) -> None:
    """Make a fee rule, a way to pay by hand, another operator, and a role."""
    await browser.opens(f"{house.home}/fees")
    await browser.presses("Let it hold", percent="1.99", currency="BRL", fixed="0.40", reason="new contract")
    await browser.opens(f"{house.home}/gateways/manual")
    await browser.presses("Save", name="Transfer", slug="transfer", account_number="1234-5")
    await browser.opens("/admin/operators/role")
    await browser.presses("Save the role", name="Night shift", permission="payments.view")
    await house.joins("bia@loja.example", "support")


async def doors(house: House, browser: Browser) -> dict[str, str]:
    """Return the pages before the panel: signing in, choosing a password, and what is refused."""
    await browser.opens("/admin/operators/2")
    await browser.presses("New password link")
    found = re.search(r"/admin/password/\w+", browser.page.text)
    assert found is not None
    return {
        "home": "/",
        "set-up, link spent": "/setup/x",
        "sign-in": "/admin/sign-in",
        "password by link": found[0],
        "password, link spent": "/admin/password/x",
        "panel payment that is not there": f"{house.home}/payments/txn_none",
    }


async def paying(shop: Shop) -> dict[str, str]:
    """Return the checkout in every stage, with every note; a link and an invoice in their states."""
    sights = {}
    for stage in ("choose", "pix", "sandbox", "transfer", "cancel", "cancelled", "expired", *OUTCOMES):
        payment = await shop.orders(order_id="1001", description="2 × Café torrado 500 g")
        browser, path = shop.browser(), f"/checkout/{payment.token}"
        await browser.opens(path)
        if stage in ("pix", "sandbox", "transfer"):
            await browser.presses(stage)
        elif stage in OUTCOMES:
            await browser.presses("sandbox")
            await browser.presses(stage)
        elif stage == "cancelled":
            await browser.opens(f"{path}/cancel")
            await browser.presses("Yes, cancel")
        elif stage == "expired":
            await set_time(shop, payment.id)
        sights[f"checkout {stage}"] = f"{path}/cancel" if stage == "cancel" else path
    noted = await shop.orders()
    sights |= {f"checkout note {note}": f"/checkout/{noted.token}?note={note}" for note in NOTES}
    sights["checkout that is not there"] = "/checkout/x"
    kinds = tuple(Question(kind, f"Your {kind}", Kind(kind), ("S", "M"), required=True) for kind in Kind)
    await shop.links(amount=None, questions=kinds, require_address=True, slug="all")
    await shop.links(slug="off", active=False)
    sights |= {"link": "/pay/all", "link off": "/pay/off"}
    for send in (False, True):
        invoice = await shop.bills(send=send, number=str(int(send)))
        sights[f"invoice{', sent' if send else ', draft'}"] = f"/invoice/{invoice.token}"
    return sights


async def set_time(shop: Shop, payment_id: int) -> None:
    await shop.db.write(lambda tx: tx.run("update payment set expires_at = created_at where id = :id", id=payment_id))


async def guests(room: Showroom) -> dict[str, str]:
    """Let a guest into the portal; return its pages."""
    shop = room.house.shop
    scene, now, endpoint = shop.scene, shop.clock.now(), room.house.names["endpoint"]

    def invite(tx: Tx) -> Secret:
        planning.plan(tx, ids=scene.ids, keyring=scene.keyring, now=now)
        return portal_access.make_link(
            tx,
            bounds=BOUNDS,
            owner=shop.merchant.owner,
            endpoints=[endpoint],
            rights=portal_access.RIGHTS,
            ids=scene.ids,
            keyring=scene.keyring,
            now=now,
            by=audit.at_console("", ""),
        )

    link = await shop.db.write(invite)
    browser = shop.browser()
    guest = await browser.client.get(f"/portal/{link.reveal()}")
    cookie = guest.cookies["opentill_portal"]
    room.cookies.append({"name": "opentill_portal", "value": cookie, "url": f"{room.url}/portal"})
    places = ("", "check", "events", "samples", f"endpoints/{endpoint}", f"deliveries/{room.house.names['delivery']}")
    return {f"portal {place.partition('/')[0] or 'start'}": f"/portal/{place}" for place in places}


async def column(house: House, sql: str) -> list[str]:
    rows = await house.shop.db.read(lambda tx: tx.all(sql))
    return [str(next(iter(dict(row).values()))) for row in rows]
