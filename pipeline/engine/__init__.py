"""All of DuckDB: it types, judges, joins and counts."""
