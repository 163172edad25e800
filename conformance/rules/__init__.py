"""Rules: pure functions from evidence to a verdict. Importing this package registers every rule."""
