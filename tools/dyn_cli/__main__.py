"""`python -m dyn_cli`: the same as `dyn-cli`."""

from __future__ import annotations

import sys

from dyn_cli.main import run

if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
