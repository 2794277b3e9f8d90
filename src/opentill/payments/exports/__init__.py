"""Lists as sheets for spreadsheets: sent at once, or written in the background and kept for a week."""
