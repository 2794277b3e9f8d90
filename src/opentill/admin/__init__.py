"""What operators see: the set-up of a fresh OpenTill, signing in, and the panel with its Developer Hub."""
