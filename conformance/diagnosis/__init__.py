"""Diagnosis: from failed rules to named root causes."""
