"""The shared HTTP kit of the two APIs: calls, callers, rate limits, idempotency, bodies and the request log."""
