"""Payment links: an address anybody can pay at, as often as the merchant says (merchant-api.md §9.8, §10.4)."""
