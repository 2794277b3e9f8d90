"""SQL of the webhook engine: `endpoints`, `outbox` (events, payloads, new deliveries), `queue`. Private to services."""
