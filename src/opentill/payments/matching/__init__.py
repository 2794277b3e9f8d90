"""The daily match: what the books say of a bank account's day against what its bank says (pix-rail.md §6.8)."""
