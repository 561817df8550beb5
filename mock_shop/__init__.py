"""A shop's API to try the pipeline on: real HTTP, several vendors' manners, and faults that are drawn from a seed."""
