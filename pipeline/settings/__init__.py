"""What a setting is, and the files that settings come from."""
