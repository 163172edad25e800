"""Suite spin_up: backends as containers that the gateway starts itself."""
