"""The limits L1 to L10 of bars.md §2: what this machine could do at best."""
