"""Luigi shells: what a task needs, makes and calls."""
