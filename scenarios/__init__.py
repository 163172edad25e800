"""The scenario suites: what is driven, and the pytest items that judge it."""
