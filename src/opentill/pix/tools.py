"""What the rail's use cases that leave the process need between their transactions."""

from collections.abc import Callable
from typing import Protocol

from opentill.db import Database
from opentill.kernel.clock import Clock
from opentill.kernel.ids import Ids
from opentill.pix.model import Account
from opentill.pix.port import PixPayout


class PayoutTools(Protocol):
    """The database, time, chance, and the bank that pays out for an account."""

    @property
    def db(self) -> Database: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def ids(self) -> Ids: ...
    @property
    def payer(self) -> Callable[[Account], PixPayout]: ...
