"""Adapters of banks, and the two ways to reach one: over the network or inside this process."""
