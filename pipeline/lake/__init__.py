"""The lake: what is published, and when it is complete."""
