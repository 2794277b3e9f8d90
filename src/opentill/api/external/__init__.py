"""The PIX API under /api/external (pix-api.md)."""
