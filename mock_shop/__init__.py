"""A shop's API to try the pipeline on: real HTTP, the APIs of several vendors, and faults drawn from a seed."""
