"""What touches bytes: taps and toxics, passive parsing of HTTP/1.1, SSE and JSON-RPC, and the two drivers."""
