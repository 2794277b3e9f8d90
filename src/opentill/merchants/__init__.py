"""Merchants (brands), their API keys, PIX credentials, gateways switched on, and fee rules."""
