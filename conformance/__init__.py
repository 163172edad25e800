"""Conformance and diagnostic harness for MCP gateways."""

__version__ = "0.1.0"
