"""Suite edges: what a proxy before the gateway does to its clients, and what becomes of replicas behind it."""
