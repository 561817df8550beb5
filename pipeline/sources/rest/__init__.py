"""Orders from a shop's REST API."""
