"""trio over TCP: links that carry many requests, listeners, and the real world."""
