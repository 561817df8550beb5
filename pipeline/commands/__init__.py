"""The commands of `python -m pipeline`, one module each, and the code that several commands share."""
