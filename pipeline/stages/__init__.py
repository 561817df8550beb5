"""The work of the tasks, as functions that take plain values: land, normalize, curate, seed."""
