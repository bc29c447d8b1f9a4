"""What comes in: requests of clients and of peers, admitted, decoded and dispatched."""
