"""Disputes: contested payments and the money held for them."""
