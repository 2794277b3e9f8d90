"""Contested receipts: the special return mechanism of PIX (pix-api.md §14, §16.5; pix-rail.md §9)."""
