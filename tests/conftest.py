"""Settings that all tests share."""

from __future__ import annotations

import os

from hypothesis import settings

# `ci` is the default everywhere: the same examples on each run, however slow the machine.
# `explore` looks for new ones: HYPOTHESIS_PROFILE=explore.
settings.register_profile("ci", derandomize=True, deadline=None, print_blob=True)
settings.register_profile("explore", max_examples=2_000, deadline=None, print_blob=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci"))
