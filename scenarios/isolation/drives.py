"""Drives of suite isolation, in a module each topic. They only drive; `conformance/rules/` judges."""

from __future__ import annotations

from scenarios.isolation import drives_bystanders, drives_clients, drives_credentials, drives_exposure, drives_two

__all__ = ["drives_bystanders", "drives_clients", "drives_credentials", "drives_exposure", "drives_two"]
