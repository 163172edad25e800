"""R3: an agent does not start, for its connection to a gateway never comes about."""
