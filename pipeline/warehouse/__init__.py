"""The embedded warehouse: warehouse.db, its tables and views."""
