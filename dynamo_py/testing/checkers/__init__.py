"""Checkers: each looks at a history and a final state, and knows nothing of how they came about."""
