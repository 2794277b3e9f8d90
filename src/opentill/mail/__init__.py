"""Mail: letters to people, kept until the mail server has taken them. Nothing waits for it (docs/mail.md)."""

from opentill.mail.model import Letter
from opentill.mail.service import post

__all__ = ["Letter", "post"]
