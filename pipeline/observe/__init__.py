"""What happened in a run: its counts, its checks, its summary."""
