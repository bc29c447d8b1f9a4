"""Credentials, roles and the challenge-response between nodes."""
