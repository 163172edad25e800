"""Field failures replayed on real parts: what they are, what driving them showed, and the record of it."""
