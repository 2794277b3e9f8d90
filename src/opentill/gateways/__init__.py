"""Payment methods: the port each implements, and the ones that ship (merchant-api.md §15)."""
