"""The consumer portal: pages for whoever runs the receiving system and has no account here (webhooks.md §12)."""
