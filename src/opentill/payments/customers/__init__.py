"""Customers: people's data, encrypted, found by keyed hash, erasable (merchant-api.md §9.2, §9.7, §10.7)."""
