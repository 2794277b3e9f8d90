"""The ways in and out: sign in, give the code, have a link sent, choose a password by a link, sign out.

The only pages below /admin without a session. Every one of them ends at `operators.sign_in`.
"""

import asyncio
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import Final
from urllib.parse import quote, urlsplit

from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from opentill.admin import session
from opentill.db import Tx
from opentill.kernel.errors import Invalid, NotFound
from opentill.kernel.secret import Secret
from opentill.operators import audit, passwords, people, resets, sign_in
from opentill.operators.model import Change
from opentill.operators.sign_in import Caller, Locked, Opened, Wrong
from opentill.web import forms
from opentill.web.dependencies import Dependencies
from opentill.web.forms import Stamps
from opentill.web.pages import Pages
from opentill.web.rate_limit import Counters

HASHES_AT_ONCE: Final = 2  # each takes 19 MiB and a core
RESETS_PER_MINUTE: Final = 5  # asked for by one address
NEXT_MAX: Final = 500  # characters
HASHING: Final = asyncio.Semaphore(HASHES_AT_ONCE)


def place_after(request: Request) -> str:
    """Return where a sign-in leads: a path of the panel that the address names, else the panel's front."""
    wanted = request.query_params.get("next", "")[:NEXT_MAX]
    parts = urlsplit(wanted)
    ours = not parts.scheme and not parts.netloc and wanted.startswith("/admin") and "\\" not in wanted
    return wanted if ours else "/admin"


def to_sign_in(path: str) -> Response:
    """Lead a stranger to the sign-in page, and back to where they wanted to be."""
    return RedirectResponse(f"/admin/sign-in?next={quote(path, safe='')}", HTTPStatus.SEE_OTHER)


async def compared(password_hash: str, password: Secret) -> bool:
    """Compare a password beside the event loop, a few at once."""
    async with HASHING:
        return await asyncio.to_thread(passwords.matches, password_hash, password)


async def hashed(password: Secret) -> str:
    """Hash a password beside the event loop, a few at once."""
    async with HASHING:
        return await asyncio.to_thread(passwords.hash_password, password)


@dataclass(frozen=True, slots=True)
class Entrance:
    """The handlers, and what they are given."""

    deps: Dependencies
    pages: Pages
    stamps: Stamps
    tries: Counters

    def routes(self) -> list[Route]:
        return [
            Route("/admin/sign-in", self.ask),
            Route("/admin/sign-in", self.sign_in, methods=["POST"]),
            Route("/admin/sign-in/code", self.ask_code),
            Route("/admin/sign-in/code", self.give_code, methods=["POST"]),
            Route("/admin/forgotten", self.ask_address),
            Route("/admin/forgotten", self.send_link, methods=["POST"]),
            Route("/admin/password/{token}", self.ask_password),
            Route("/admin/password/{token}", self.choose_password, methods=["POST"]),
        ]

    async def ask(self, request: Request) -> Response:
        """Ask for e-mail and password."""
        return self._ask(request)

    async def sign_in(self, request: Request) -> Response:
        """Look at e-mail and password, and open the door or ask for the code."""
        deps, form = self.deps, await forms.read(request)
        caller = self._caller(request)
        email = form.get("email", "")
        if session.from_elsewhere(request) or not self.stamps.fits(form, "sign-in"):
            return self._ask(request, email, fault="stale")
        who = await deps.db.read(
            lambda tx: sign_in.candidate(tx, email, caller.origin, keyring=deps.keyring, now=deps.clock.now())
        )
        open_now = deps.clock.now() >= who.locked_until
        matched = open_now and await compared(who.password_hash, Secret(form.get("password", "")))
        outcome = await deps.db.write(
            lambda tx: sign_in.enter(
                tx, who, caller, matched=matched, ids=deps.ids, keyring=deps.keyring, now=deps.clock.now()
            )
        )
        if not isinstance(outcome, Opened):
            return self._ask(request, email, fault=_fault(outcome))
        code = f"/admin/sign-in/code?next={quote(place_after(request), safe='')}"
        return self._enter(outcome, code if outcome.factor_due else place_after(request))

    async def ask_code(self, request: Request) -> Response:
        """Ask for the code of the second factor."""
        deps, token = self.deps, session.token_of(request)
        due = await deps.db.read(lambda tx: sign_in.code_is_due(tx, token, keyring=deps.keyring, now=deps.clock.now()))
        return self._ask_code(request) if due else to_sign_in(place_after(request))

    async def give_code(self, request: Request) -> Response:
        """Look at the code, and open the door."""
        deps, form, token = self.deps, await forms.read(request), session.token_of(request)
        if session.from_elsewhere(request) or not self.stamps.fits(form, "code", token):
            return self._ask_code(request, fault="stale")
        outcome = await deps.db.write(
            lambda tx: sign_in.give_code(
                tx,
                token,
                form.get("code", ""),
                self._caller(request),
                ids=deps.ids,
                keyring=deps.keyring,
                now=deps.clock.now(),
            )
        )
        if outcome is None:
            return to_sign_in(place_after(request))
        if isinstance(outcome, Opened):
            return self._enter(outcome, place_after(request))
        return self._ask_code(request, fault=_fault(outcome))

    async def ask_address(self, request: Request) -> Response:
        """Ask where to send a link for a new password."""
        return self._ask_address(request)

    async def send_link(self, request: Request) -> Response:
        """Say that a link is on its way, to whoever asks; only afterwards look whom the address belongs to.

        So neither the answer nor how long it takes tells whether somebody has it.
        """
        form, caller = await forms.read(request), self._caller(request)
        if session.from_elsewhere(request) or not self.stamps.fits(form, "forgotten"):
            return self._ask_address(request, fault="stale")
        if (await self.tries.take(caller.origin, RESETS_PER_MINUTE, self.deps.clock.now())).refused:
            return self.pages.problem(request, "busy", HTTPStatus.TOO_MANY_REQUESTS, {"Retry-After": "60"})
        answer = self.pages.render(request, "admin/entrance/link-sent.html", {})
        if self.deps.settings.mail_host:
            answer.background = BackgroundTask(self._post_link, form.get("email", ""), caller)
        return answer

    async def _post_link(self, email: str, caller: Caller) -> None:
        deps, now = self.deps, self.deps.clock.now()
        await deps.db.write(lambda tx: resets.ask(tx, email, caller, ids=deps.ids, keyring=deps.keyring, now=now))

    def _ask_address(self, request: Request, *, fault: str | None = None) -> Response:
        facts = {"fault": fault, "stamp": self.stamps.make("forgotten"), "can_send": bool(self.deps.settings.mail_host)}
        return self.pages.render(request, "admin/entrance/forgotten.html", facts, status=_status(fault))

    def _caller(self, request: Request) -> Caller:
        language = self.pages.language_of(request).tag
        return replace(session.caller_of(request, self.deps.settings), language=language)

    async def ask_password(self, request: Request) -> Response:
        """Let an invited operator choose a password."""
        deps, token = self.deps, request.path_params["token"]
        try:
            operator = await deps.db.read(
                lambda tx: people.link_owner(tx, token, keyring=deps.keyring, now=deps.clock.now())
            )
        except NotFound:
            return self.pages.render(request, "admin/entrance/link-spent.html", {}, status=HTTPStatus.NOT_FOUND)
        facts = {"operator": operator, "token": token, "faults": {}, "stamp": self.stamps.make("password", token)}
        return self.pages.render(request, "admin/entrance/password.html", facts)

    async def choose_password(self, request: Request) -> Response:
        """Save the password; whoever has a second factor still needs its code."""
        deps, form, token = self.deps, await forms.read(request), request.path_params["token"]
        password, repeated = Secret(form.get("password", "")), Secret(form.get("repeated", ""))
        caller = session.caller_of(request, deps.settings)
        if session.from_elsewhere(request) or not self.stamps.fits(form, "password", token):
            return await self.ask_password(request)
        try:
            operator = await deps.db.read(
                lambda tx: people.link_owner(tx, token, keyring=deps.keyring, now=deps.clock.now())
            )
            people.check_password(operator, password, repeated)
            password_hash = await hashed(password)
            await deps.db.write(lambda tx: self._use_link(tx, token, password_hash, caller.origin))
        except NotFound:
            return self.pages.render(request, "admin/entrance/link-spent.html", {}, status=HTTPStatus.NOT_FOUND)
        except Invalid as wrong:
            faults = {fault.field: fault.message for fault in wrong.faults}
            facts = {"operator": operator, "token": token, "faults": faults}
            facts["stamp"] = self.stamps.make("password", token)
            return self.pages.render(
                request, "admin/entrance/password.html", facts, status=HTTPStatus.UNPROCESSABLE_ENTITY
            )
        return RedirectResponse("/admin/sign-in?note=password", HTTPStatus.SEE_OTHER)

    def _use_link(self, tx: Tx, token: str, password_hash: str, origin: str) -> None:
        now = self.deps.clock.now()
        operator = people.use_link(tx, token, password_hash, keyring=self.deps.keyring, now=now)
        audit.write(tx, Change(operator.actor, origin, "operator.password_chosen", operator.actor), now=now)

    def _enter(self, opened: Opened, place: str) -> Response:
        """Give the browser its session; a session it came with is not gone on with."""
        response = RedirectResponse(place, HTTPStatus.SEE_OTHER)
        session.remember(response, opened.token, self.deps.settings)
        return response

    def _ask(self, request: Request, email: str = "", *, fault: str | None = None) -> Response:
        facts = {
            "email": email,
            "fault": fault,
            "note": request.query_params.get("note"),
            "action": _with_next(request, "/admin/sign-in"),
            "stamp": self.stamps.make("sign-in"),
        }
        return self.pages.render(request, "admin/entrance/sign-in.html", facts, status=_status(fault))

    def _ask_code(self, request: Request, *, fault: str | None = None) -> Response:
        facts = {
            "fault": fault,
            "action": _with_next(request, "/admin/sign-in/code"),
            "stamp": self.stamps.make("code", session.token_of(request)),
        }
        return self.pages.render(request, "admin/entrance/code.html", facts, status=_status(fault))


def _with_next(request: Request, path: str) -> str:
    return f"{path}?next={quote(place_after(request), safe='')}"


def _fault(outcome: Wrong | Locked) -> str:
    return "locked" if isinstance(outcome, Locked) else "wrong"


def _status(fault: str | None) -> HTTPStatus:
    if fault == "locked":
        return HTTPStatus.TOO_MANY_REQUESTS
    return HTTPStatus.UNPROCESSABLE_ENTITY if fault else HTTPStatus.OK
