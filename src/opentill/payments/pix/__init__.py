"""Payments that are paid by PIX."""
