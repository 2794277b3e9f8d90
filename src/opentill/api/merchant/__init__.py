"""The merchant API under /api/v1 (merchant-api.md)."""
