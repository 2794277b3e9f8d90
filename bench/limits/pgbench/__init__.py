"""L6: pgbench with the product's own statements as a script, prepared, one client per pool slot."""
