"""Family keep_alive."""
