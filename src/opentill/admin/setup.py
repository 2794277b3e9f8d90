"""The first page of an OpenTill and the making of its first operator: parse, call, render.

Whoever made the first operator is signed in and led on by the panel.
"""

import asyncio
from dataclasses import dataclass
from http import HTTPStatus

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from opentill.admin import session
from opentill.db import Tx
from opentill.kernel.errors import Conflict, Invalid, NotFound
from opentill.kernel.secret import Secret
from opentill.operators import passwords, service, sign_in
from opentill.web import forms
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps
from opentill.web.pages import Pages


@dataclass(frozen=True, slots=True)
class Setup:
    """The pages before anybody can sign in, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps

    def routes(self) -> list[Route]:
        return [
            Route("/", self.home),
            Route("/setup/{token}", self.offer),
            Route("/setup/{token}", self.claim, methods=["POST"]),
        ]

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
            opened = await self.deps.db.write(lambda tx: self._claimed(tx, request, token, email, name, password_hash))
        except Invalid as wrong:
            faults = {fault.field: fault.message for fault in wrong.faults}
            return self._form(request, token, form, faults=faults)
        except (NotFound, Conflict):
            return self._spent(request)
        response = RedirectResponse("/admin", HTTPStatus.SEE_OTHER)
        session.remember(response, opened.token, self.deps.settings)
        return response

    def _claimed(
        self, tx: Tx, request: Request, token: str, email: str, name: str, password_hash: str
    ) -> sign_in.Opened:
        """Make the first operator and sign them in."""
        deps, now, caller = self.deps, self.deps.clock.now(), session.caller_of(request, self.deps.settings)
        operator = service.claim_setup_link(
            tx,
            token,
            email=email,
            name=name,
            password_hash=password_hash,
            origin=caller.origin,
            keyring=deps.keyring,
            now=now,
        )
        return sign_in.open_first(tx, operator, caller, ids=deps.ids, keyring=deps.keyring, now=now)

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
