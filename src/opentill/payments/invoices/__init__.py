"""Invoices: lines with an exact total, sent to a customer and paid at their page (merchant-api.md §9.9, §10.5)."""
