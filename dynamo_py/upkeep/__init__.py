"""Background work of a node, each loop under `supervise`."""
