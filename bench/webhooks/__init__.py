"""Benchmarks of the delivery engine (bars.md §4.3)."""
