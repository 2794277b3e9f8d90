"""Payouts: money a merchant sends over PIX (pix-api.md §12.3, §15, §16.3)."""
