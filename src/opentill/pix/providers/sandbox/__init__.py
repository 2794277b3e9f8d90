"""Paying out at the sandbox bank. Receiving there goes through the Central Bank's document, as at any bank."""

from opentill.pix.providers.sandbox.payer import SandboxPayer

__all__ = ["SandboxPayer"]
