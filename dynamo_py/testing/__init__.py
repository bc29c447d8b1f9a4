"""A whole cluster in one process, from one seed: for this project's tests, and for its users'.

`Simulation` is the face: a cluster in virtual time that can be split, crashed and healed from
within a test. What clients did is a `History`; the checkers over it are in
`dynamo_py.testing.checkers`. `python -m dynamo_py.testing` carries out the standard runs.
"""

from __future__ import annotations

from dynamo_py.testing.simulation import Simulation

__all__ = ["Simulation"]
