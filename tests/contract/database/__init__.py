"""What both database runners promise, and what the schema refuses by itself."""
