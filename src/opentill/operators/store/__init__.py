"""SQL of operators: set-up links, people and their roles, sessions and what opens them. Private to this feature."""
