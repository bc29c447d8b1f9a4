"""Studies: programs that measure, by simulation or on this machine; each has a test."""
