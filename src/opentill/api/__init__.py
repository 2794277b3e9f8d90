"""The two APIs: `merchant` under /api/v1 and `external`, the PIX API, under /api/external."""
