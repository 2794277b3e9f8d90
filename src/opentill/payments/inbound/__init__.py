"""Callbacks of gateways: what a provider told us, kept as it came and applied once (merchant-api.md §13)."""
