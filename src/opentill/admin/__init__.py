"""What operators see. So far: the first page, and the set-up link that makes the first operator."""
