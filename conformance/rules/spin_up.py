"""Family spin_up."""
