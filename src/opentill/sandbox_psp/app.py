"""The bank as a whole: an ASGI application, what its payers do, and the loop that carries out its agenda."""

import asyncio
import sqlite3
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

import structlog

from opentill.kernel.asgi import Receive, Scope, Send
from opentill.kernel.clock import SECOND, Clock
from opentill.kernel.errors import Refused
from opentill.kernel.ids import Ids
from opentill.kernel.secret import Secret
from opentill.sandbox_psp import faults, happenings, notices, payloads, signing
from opentill.sandbox_psp.accounts import authorised, grant_token, open_account
from opentill.sandbox_psp.desk import Desk
from opentill.sandbox_psp.frame import LOCATION_HOST, Frame, MovedClock
from opentill.sandbox_psp.hooks import find_hook
from opentill.sandbox_psp.http import Answer, Request, json_answer, read_request, send_answer
from opentill.sandbox_psp.notices import Notice, Sender
from opentill.sandbox_psp.operations import Outcome, perform, with_fault
from opentill.sandbox_psp.problems import Problem
from opentill.sandbox_psp.receipts import pay
from opentill.sandbox_psp.signing import Algorithm, SigningKey
from opentill.sandbox_psp.store import Store

log = structlog.get_logger(__name__)

BREAK_AFTER_S: Final = 0.3  # before a connection is broken in place of an answer
POLL_S: Final = 0.25  # for what another process put on the agenda
CHECKPOINT_S: Final = 5.0
TOLD_LOOK_S: Final = 0.02
TOLD_LOOKS: Final = 50
REQUESTS_KEPT: Final = 5_000
BODY_KEPT_MAX: Final = 16_384  # bytes


class SandboxBank:
    """A bank whose books are the file at *path*; several processes may open the same one.

    As an ASGI application it answers requests. `run` carries out what becomes due, in at least one of the
    processes. Without a *sim_token* the hooks under `/_sim` are closed. *algorithm* is what it signs payloads with.
    """

    def __init__(
        self,
        path: str | Path,
        *,
        clock: Clock,
        ids: Ids,
        sim_token: Secret | None = None,
        host: str = LOCATION_HOST,
        break_after_s: float = BREAK_AFTER_S,
        algorithm: Algorithm = Algorithm.RS256,
    ) -> None:
        self._store = Store(path)
        self._frame = Frame(self._store, MovedClock(clock, self._store), ids, host)
        self._sim_token = sim_token
        self._break_after_s = break_after_s
        self._algorithm = algorithm
        self._signing: SigningKey | None = None
        self._changed = self._frame.changed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = await read_request(scope, receive)
        if request is None:
            await send_answer(Answer(413), send)
            return
        if request.parts[0] in ("qr", "jwks.json"):
            await self._have_signing_key()
        outcome = await self._outcome_or_failure(request)
        if request.parts[0] == "_sim":
            self._changed.set()
        if outcome.told_before:
            await self._have_told(outcome.told_before)
        if outcome.held_s:
            await asyncio.sleep(outcome.held_s)
        await send_answer(outcome.answer, send)

    async def run(self, sender: Sender, stop: asyncio.Event) -> None:
        """Carry out the agenda until *stop* is set; *sender* carries its notifications."""
        async with asyncio.TaskGroup() as working:
            checkpoints = working.create_task(self._checkpoint())
            while not stop.is_set():
                self._changed.clear()
                for notice in self._due_or_none():
                    working.create_task(self._tell(notice, sender))
                await self._rest()
            checkpoints.cancel()

    async def tick(self, sender: Sender) -> int:
        """Carry out what is due now, wait for its notifications, and return how many were sent."""
        due = self._due()
        await asyncio.gather(*(self._tell(notice, sender) for notice in due))
        return len(due)

    def open_account(
        self,
        *,
        client_id: str,
        client_secret: str,
        document: str,
        name: str,
        city: str,
        keys: Iterable[str],
    ) -> None:
        """Open an account, or bring the one of this *client_id* up to date: keys are only ever added.

        Raises `Refused`: `bad_document` (a CNPJ is needed), `bad_key`, `key_taken`.
        """
        with self._store.transaction():
            open_account(
                self._frame,
                client_id=client_id,
                client_secret=client_secret,
                document=document,
                name=name,
                city=city,
                keys=keys,
            )

    async def pay(
        self,
        txid: str,
        *,
        amount_centavos: int | None = None,
        count: int = 1,
        copies: int = 1,
        force: bool = False,
    ) -> list[str]:
        """Pay a charge as a payer would and return the end-to-end ids.

        *count* payments, each announced *copies* times, of another amount if asked. Raises `Refused` where
        the charge cannot be paid any more, unless *force* has the money arrive all the same.
        """
        order: dict[str, Any] = {"txid": txid, "count": count, "copies": copies, "force": force}
        if amount_centavos is not None:
            order |= {"amount": amount_centavos, "any_amount": True}
        try:
            with self._store.transaction():
                return pay(self._frame, order)
        except Problem:
            raise Refused("invalid_state", "The charge cannot be paid.") from None
        finally:
            self._changed.set()

    def desk(self, client_id: str) -> Desk:
        """Return the desk where an account's owner has things happen."""
        return Desk(self._frame, client_id, self._changed.set)

    def close(self) -> None:
        """Close the books."""
        self._store.close()

    def _due_or_none(self) -> list[Notice]:
        try:
            return self._due()
        except Exception:  # what cannot be done now is tried at the next look; the agenda goes on
            log.exception("sandbox bank could not do what is due")
            return []

    def _due(self) -> list[Notice]:
        due_at = notices.next_due_at(self._frame)
        if due_at is None or due_at > self._frame.now():
            return []
        with self._store.transaction():
            happenings.carry_out_due(self._frame)
            return notices.claim_due(self._frame)

    async def _tell(self, notice: Notice, sender: Sender) -> None:
        try:
            status = await sender(notice.url, notice.body)
        except Exception:  # a sender that fails otherwise than by its return value must not end the agenda
            log.exception("sandbox bank's sender failed")
            status = 0
        try:
            with self._store.transaction():
                notices.conclude(self._frame, notice, status)
        except sqlite3.Error:
            # Its time runs on: without a conclusion the notification is sent once more.
            log.exception("sandbox bank could not conclude a notification")

    async def _checkpoint(self) -> None:
        while True:
            await asyncio.sleep(CHECKPOINT_S)
            try:
                await asyncio.to_thread(self._store.checkpoint)
            except sqlite3.Error:
                log.warning("sandbox bank could not tidy its books", exc_info=True)

    async def _rest(self) -> None:
        """Sleep until something is due, something changed here, or it is time to look for others' changes."""
        due_at = notices.next_due_at(self._frame)
        left_s = POLL_S if due_at is None else (due_at - self._frame.clock.now()) / SECOND
        try:
            async with asyncio.timeout(max(0.0, min(left_s, POLL_S))):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _have_told(self, txid: str) -> None:
        """Wait until a charge's payment was announced, by whichever process does so, or has been late."""
        for _ in range(TOLD_LOOKS):
            if not notices.is_pending(self._frame, txid):
                return
            await asyncio.sleep(TOLD_LOOK_S)

    async def _have_signing_key(self) -> None:
        if self._signing is None:
            self._signing = signing.load_signing_key(self._frame, self._algorithm)
        if self._signing is None:
            frame, algorithm = self._frame, self._algorithm
            made = await asyncio.to_thread(signing.make_signing_key, algorithm, frame.host, frame.now())
            with self._store.transaction():  # not shared: nothing is signed with a key that may be undone
                signing.keep_signing_key(frame, algorithm, made)
            self._signing = signing.load_signing_key(frame, algorithm)

    async def _outcome_or_failure(self, request: Request) -> Outcome:
        try:
            outcome = self._outcome(request)
            await self._store.stored()
        except Exception:  # a fault of the bank is not its client's: in one process, it must not become one
            log.exception("sandbox bank failed", method=request.method, path=request.parts[:3])
            return Outcome(self._refused(request, Problem("ErroInternoDoServidor")))
        return outcome

    def _outcome(self, request: Request) -> Outcome:
        """Answer a request, all or nothing of it, and write down that it came."""
        with self._store.shared():
            account_id = None
            try:
                outcome, account_id = self._answered(request)
            except Problem as problem:
                outcome = Outcome(self._refused(request, problem))
            if request.parts[0] != "_sim":
                self._note(request, account_id, outcome.answer.status)
            return outcome

    def _answered(self, request: Request) -> tuple[Outcome, int | None]:
        match request.method, request.parts:
            case _, ["api", "v2", *_] | ["envio", "v1", *_]:
                return self._api(request)
            case "POST", ["oauth", "token"]:
                return self._token(request)
            case "GET", ["qr", "v2", _] | ["qr", "v2", "cobv", _] if self._signing:
                return Outcome(payloads.payload(self._frame, self._signing, request)), None
            case "GET", ["jwks.json"] if self._signing:
                return Outcome(signing.key_set(self._signing)), None
            case method, ["_sim", *names]:
                return Outcome(self._hook(request, method, names)), None
        raise Problem("NaoEncontrado")

    def _api(self, request: Request) -> tuple[Outcome, int | None]:
        account = authorised(self._frame, request)
        if account is None:
            return Outcome(json_answer(401, {"error": "invalid_token"})), None
        try:
            return perform(self._frame, account, request, self._break_after_s), account.id
        except Problem as problem:
            return Outcome(self._refused(request, problem)), account.id

    def _token(self, request: Request) -> tuple[Outcome, int | None]:
        answer, account_id = grant_token(self._frame, request)
        fault = faults.take(self._frame, account_id, "token", {})
        return with_fault(fault, lambda: answer, self._break_after_s), account_id

    def _hook(self, request: Request, method: str, names: list[str]) -> Answer:
        given = request.headers.get("x-sim-token", "")
        if self._sim_token is None or not self._sim_token.matches(given):
            raise Problem("AcessoNegado")
        hook = find_hook(method, names)
        if hook is None:
            raise Problem("NaoEncontrado")
        return hook(self._frame, request)

    def _refused(self, request: Request, problem: Problem) -> Answer:
        correlation_id = request.headers.get("x-correlation-id") or self._frame.ids.uuid7()
        return json_answer(problem.status, problem.document(correlation_id), "application/problem+json")

    def _note(self, request: Request, account_id: int | None, status: int) -> None:
        # A token call carries the account's secret.
        body = b"" if request.parts[0] == "oauth" else request.body[:BODY_KEPT_MAX]
        number = self._store.insert(
            """
            insert into request (at, account_id, method, path, body, status)
            values (:at, :account_id, :method, :path, :body, :status)
            """,
            at=self._frame.now(),
            account_id=account_id,
            method=request.method,
            path=request.target,
            body=body.decode("utf-8", "replace"),
            status=status,
        )
        if number % 100 == 0:
            self._store.run("delete from request where id <= :oldest", oldest=number - REQUESTS_KEPT)
