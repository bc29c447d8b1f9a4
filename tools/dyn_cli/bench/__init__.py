"""`dyn-cli bench`: loads, and what they cost."""
