"""The Luigi tasks. They say what they need, what they make and what they call; the work is done in stages/."""
