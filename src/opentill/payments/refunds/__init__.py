"""Refunds: money given back to payers."""
