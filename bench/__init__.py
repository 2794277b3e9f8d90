"""The benchmark suite of OpenTill: every bar of bars.md, with the limits measured beside it."""
