"""What most tests need first: a clock that stands still, ids from a seed, a keyring, a merchant who can sign in.

scene = Scene()
shop = await database.write(scene.merchant)
key = await database.write(lambda tx: scene.api_key(tx, shop))
"""

from collections.abc import Sequence
from typing import Final

from opentill.db import Tx
from opentill.kernel.clock import Instant, ManualClock
from opentill.kernel.ids import SeededIds
from opentill.kernel.mode import Mode
from opentill.kernel.secret import KEY_BYTES, Keyring, MasterKeys, Secret
from opentill.merchants import service as merchants
from opentill.merchants.model import DEFAULT_PERMISSIONS, DEFAULT_SCOPES, Merchant

NOW: Final = Instant(1_772_897_400_000_000)  # 2026-03-07T15:30:00Z, the instant of the seed pages


class Scene:
    """The world of one test. Two scenes of one seed make the same things."""

    def __init__(self, seed: int = 7) -> None:
        self.clock = ManualClock(NOW)
        self.ids = SeededIds(seed, self.clock)
        self.keyring = Keyring(MasterKeys({"k1": b"k" * KEY_BYTES}, current="k1", pepper=b"p" * KEY_BYTES))

    def merchant(
        self,
        tx: Tx,
        name: str = "Loja Azul",
        *,
        mode: Mode = Mode.SANDBOX,
        outbound_allow: Sequence[str] = (),
    ) -> Merchant:
        """Create a merchant. *outbound_allow* opens private webhook receivers for it."""
        return merchants.create_merchant(
            tx,
            name,
            mode=mode,
            ids=self.ids,
            keyring=self.keyring,
            now=self.clock.now(),
            outbound_allow=outbound_allow,
        )

    def api_key(self, tx: Tx, merchant: Merchant, *, scopes: Sequence[str] = DEFAULT_SCOPES) -> Secret:
        """Create a key of the merchant API and return its text, `op_…`."""
        return merchants.create_api_key(tx, owner=merchant.owner, ids=self.ids, now=self.clock.now(), scopes=scopes)

    def credential(
        self, tx: Tx, merchant: Merchant, permissions: Sequence[str] = DEFAULT_PERMISSIONS
    ) -> tuple[str, Secret]:
        """Create a PIX credential and return its `cli_…` and `sk_…`."""
        return merchants.create_credential(
            tx,
            owner=merchant.owner,
            ids=self.ids,
            keyring=self.keyring,
            now=self.clock.now(),
            permissions=permissions,
        )
