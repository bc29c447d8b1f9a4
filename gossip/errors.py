"""The one error of this package."""

from __future__ import annotations


class GossipError(Exception):
    """Bytes that are no message of ours, or an argument that can never be right.

    Nothing has changed when it is raised.
    """
