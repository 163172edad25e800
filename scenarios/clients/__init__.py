"""Suite clients: what real clients make of a gateway, and what a gateway makes of them."""
