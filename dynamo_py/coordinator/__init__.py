"""Reads and writes of one key over its replicas."""
