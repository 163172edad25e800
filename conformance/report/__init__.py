"""Renderers. Each reads the records of a run and writes one form of them; none judges."""
