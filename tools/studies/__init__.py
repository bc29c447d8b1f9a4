"""Studies of the ring and of gossip, by simulation."""
