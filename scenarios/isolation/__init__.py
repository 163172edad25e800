"""Suite get_sse: the standalone GET stream."""
