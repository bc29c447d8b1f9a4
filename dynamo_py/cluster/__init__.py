"""What this node believes of the cluster: members and ownership, as a frozen view."""
