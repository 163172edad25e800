"""Suite session_reuse: session ids, their end, and which backend session serves whom."""
