"""What every room may use: money, instants, ids, refusals, secrets. Imports nothing of ours."""
