"""The payer's page: what is asked, how to pay it, and what became of it (merchant-api.md §11)."""
