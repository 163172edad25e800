"""Suite keep_alive: what idle streams, sessions and connections, and calls that take long or fail, do with time."""
