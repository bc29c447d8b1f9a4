"""The room for studies of the ring and of gossip by simulation. Empty in this version."""
