"""This node's copy: atomic get-merge-put, hints kept for others, the right to vote."""
