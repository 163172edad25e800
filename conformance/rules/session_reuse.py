"""Family session_reuse."""
