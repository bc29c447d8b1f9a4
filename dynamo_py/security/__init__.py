"""The room for credentials and roles. Empty in this version: see SECURITY.md."""
