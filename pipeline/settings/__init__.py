"""What a setting is, the files that settings come from, and what the REST source reads of them."""
