"""The first page of an OpenTill and the making of its first operator: parse, call, render."""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.kernel.secret import Secret
from opentill.operators import passwords, service
from opentill.web import forms
from opentill.web.addresses import caller_address
from opentill.web.assets import PREFIX
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps
from opentill.web.pages import Pages


def create_admin_app(deps: Dependencies, pages: Pages | None = None) -> ASGIApp:
    """Return the application that `main` mounts at the root, below everything else; it serves the assets too."""
    pages = pages or Pages(ids=deps.ids, public_url=deps.settings.public_url)
    admin = Admin(deps, pages, Stamps(deps.keyring, deps.ids))
    return pages.application(
        [
            Route("/", admin.home),
            Route("/setup/done", admin.done),
            Route("/setup/{token}", admin.offer),
            Route("/setup/{token}", admin.claim, methods=["POST"]),
            Route(PREFIX + "/{digest}/{name:path}", pages.assets.serve),
        ],
        surface="admin",
    )


@dataclass(frozen=True, slots=True)
class Admin:
    """The handlers, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps

    async def home(self, request: Request) -> Response:
        """Say what runs here and where to go next."""
        ready = await self.deps.db.read(service.any_operator)
        facts = {"ready": ready, "address": self.deps.settings.public_url}
        return self.pages.render(request, "admin/home.html", facts)

    async def offer(self, request: Request) -> Response:
        """Show the form of a good set-up link."""
        token = request.path_params["token"]
        try:
            await self._check(token)
        except NotFound:
            return self._spent(request)
        return self._form(request, token)

    async def claim(self, request: Request) -> Response:
        """Make the first operator."""
        form = await forms.read(request)
        token = request.path_params["token"]
        password, repeated = Secret(form.get("password", "")), Secret(form.get("repeated", ""))
        try:
            await self._check(token)
            if not self.stamps.fits(form, "setup", token):
                return self._form(request, token, form, stale=True)
            email, name = service.checked(form.get("email", ""), form.get("name", ""), password, repeated)
            password_hash = await asyncio.to_thread(passwords.hash_password, password)
            await self.deps.db.write(
                lambda tx: service.claim_setup_link(
                    tx,
                    token,
                    email=email,
                    name=name,
                    password_hash=password_hash,
                    origin=self._origin(request),
                    keyring=self.deps.keyring,
                    now=self.deps.clock.now(),
                )
            )
        except Invalid as wrong:
            faults = {fault.field: fault.message for fault in wrong.faults}
            return self._form(request, token, form, faults=faults)
        except (NotFound, Conflict):
            return self._spent(request)
        return RedirectResponse("/setup/done", HTTPStatus.SEE_OTHER)

    async def done(self, request: Request) -> Response:
        """Tell a new operator what to do next."""
        facts = {"ready": await self.deps.db.read(service.any_operator), "address": self.deps.settings.public_url}
        if not facts["ready"]:
            return RedirectResponse("/", HTTPStatus.SEE_OTHER)
        return self.pages.render(request, "admin/done.html", facts)

    async def _check(self, token: str) -> None:
        await self.deps.db.read(
            lambda tx: service.check_setup_link(tx, token, keyring=self.deps.keyring, now=self.deps.clock.now())
        )

    def _form(
        self,
        request: Request,
        token: str,
        form: forms.Fields | None = None,
        *,
        faults: dict[str, str] | None = None,
        stale: bool = False,
    ) -> Response:
        """Show the form, with what was typed and what is wrong with it; passwords are never shown again."""
        typed = form or {}
        facts = {
            "token": token,
            "email": typed.get("email", ""),
            "name": typed.get("name", ""),
            "faults": faults or {},
            "stale": stale,
            "stamp": self.stamps.make("setup", token),
        }
        status = HTTPStatus.UNPROCESSABLE_ENTITY if faults or stale else HTTPStatus.OK
        return self.pages.render(request, "admin/setup.html", facts, status=status)

    def _spent(self, request: Request) -> Response:
        return self.pages.render(request, "admin/spent.html", {}, status=HTTPStatus.NOT_FOUND)

    def _origin(self, request: Request) -> str:
        """Return the caller's address for the audit log."""
        peer = request.client.host if request.client else None
        forwarded = [value for name, value in request.scope["headers"] if name == b"x-forwarded-for"]
        return caller_address(peer, forwarded, self.deps.settings.proxies)
