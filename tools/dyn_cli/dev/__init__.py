"""A dev cluster: real node processes on this machine, their state in one directory."""
