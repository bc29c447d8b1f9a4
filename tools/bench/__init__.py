"""Measurements against other stores, and their plots."""
