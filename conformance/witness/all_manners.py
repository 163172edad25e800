"""Every manner of answering, registered. Importing this module is what makes `MANNERS` complete."""

from __future__ import annotations

from conformance.witness import manners_http, manners_streams
from conformance.witness.manners import MANNERS

__all__ = ["MANNERS", "manners_http", "manners_streams"]
