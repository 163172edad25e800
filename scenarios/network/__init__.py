"""Suite network: what lies between a gateway and its backend, and between a client and a gateway."""
