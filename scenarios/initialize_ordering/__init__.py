"""Suite initialize_ordering: who may say what before, during and after the handshake."""
