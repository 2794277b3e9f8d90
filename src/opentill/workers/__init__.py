"""The loops beside the edges: planning and delivering webhooks, and everything that must go on by itself."""
