"""The benchmark suite measures what it says it measures."""
