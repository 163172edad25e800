"""Family initialize_ordering."""
