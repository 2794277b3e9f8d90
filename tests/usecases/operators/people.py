"""An operator with a password, and the sentences of somebody at the door."""

from dataclasses import dataclass

import pyotp

from opentill.db import Database, Tx
from opentill.kernel.clock import SECOND
from opentill.kernel.secret import Secret
from opentill.operators import factors, passwords, people, sign_in
from opentill.operators.model import Operator, SignedIn
from opentill.operators.sign_in import Caller, Locked, Opened, Wrong
from opentill.operators.store import people as people_store
from opentill.operators.store import setup
from tests.make import Scene

PASSWORD = "quatro cavalos pastam"
HASH = passwords.hash_password(Secret(PASSWORD))
HOME = Caller("203.0.113.9", "Firefox")


def add(tx: Tx, scene: Scene, email: str = "ana@loja.example", role: str = "owner") -> Operator:
    """Add an operator who knows PASSWORD."""
    operator_id = setup.insert_operator(tx, email=email, name="Ana", password_hash=HASH, now=scene.clock.now())
    people_store.set_grant(tx, operator_id, role, merchant_id=None, now=scene.clock.now())
    return people.found(tx, operator_id)


@dataclass
class Door:
    """The way in, as the pages use it, for one database."""

    db: Database
    scene: Scene

    async def knocks(
        self, email: str = "ana@loja.example", password: str = PASSWORD, caller: Caller = HOME
    ) -> Opened | Wrong | Locked:
        keyring, now = self.scene.keyring, self.scene.clock.now()
        who = await self.db.read(lambda tx: sign_in.candidate(tx, email, caller.origin, keyring=keyring, now=now))
        matched = password == PASSWORD and who.operator is not None  # the hash is compared in tests of the pages
        return await self.db.write(
            lambda tx: sign_in.enter(tx, who, caller, matched=matched, ids=self.scene.ids, keyring=keyring, now=now)
        )

    async def gives(self, opened: Opened, code: str, caller: Caller = HOME) -> Opened | Wrong | Locked | None:
        return await self.db.write(
            lambda tx: sign_in.give_code(
                tx,
                opened.token.reveal(),
                code,
                caller,
                ids=self.scene.ids,
                keyring=self.scene.keyring,
                now=self.scene.clock.now(),
            )
        )

    async def knows(self, token: str) -> SignedIn | None:
        return await self.db.read(
            lambda tx: sign_in.recognise(tx, token, keyring=self.scene.keyring, now=self.scene.clock.now())
        )

    async def turns_on(self, operator: Operator) -> tuple[Secret, list[str]]:
        """Turn the second factor on; return its seed and the recovery codes."""
        seed = factors.new_seed(self.scene.ids)
        codes = await self.db.write(
            lambda tx: factors.turn_on(
                tx,
                operator,
                seed,
                self.code(seed),
                ids=self.scene.ids,
                keyring=self.scene.keyring,
                now=self.scene.clock.now(),
            )
        )
        return seed, list(codes)

    def code(self, seed: Secret, *, steps: int = 0) -> str:
        """Return what the app shows now, or some steps of half a minute later."""
        return pyotp.TOTP(seed.reveal()).at(self.scene.clock.now() // SECOND + 30 * steps)
