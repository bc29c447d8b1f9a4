"""The simulator: a whole cluster in one process, from one seed."""
