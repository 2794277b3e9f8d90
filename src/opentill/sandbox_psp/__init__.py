"""The sandbox bank: an ASGI application that plays a bank and its payers (pix-rail.md §11).

It knows nothing of OpenTill but the PIX rail's own vocabulary, and is spoken to as any bank is.
"""

from opentill.sandbox_psp.app import SandboxBank
from opentill.sandbox_psp.notices import Sender

__all__ = ["SandboxBank", "Sender"]
