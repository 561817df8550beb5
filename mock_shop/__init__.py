"""A mock of a shop's API to try the pipeline with: over HTTP, in the styles of several vendors, with seeded faults."""
