"""Outbound webhooks: endpoints, deliveries, attempts, signatures, schedules (webhooks.md).

An event is recorded in the money's transaction by `opentill.events`. From there on this room carries it:
`planning` turns events into deliveries, `queue` grants deliveries to workers, `sending` makes the attempts.
"""
