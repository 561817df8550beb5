"""Settings: their type, the files and environment variables they come from, and the settings of the REST source."""
