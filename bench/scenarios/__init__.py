"""What the product is asked to do while it is measured (bars.md §4.1)."""
