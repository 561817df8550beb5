"""Orders from a JSON dump."""
