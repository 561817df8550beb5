"""What a task does, as functions of plain values: land, normalize, curate, seed."""
