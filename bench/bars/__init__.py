"""The bars, one module a chapter of bars.md."""
