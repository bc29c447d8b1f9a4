"""Storage engines behind one Protocol, and group commit."""
