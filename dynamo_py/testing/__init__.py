"""For tests of the store and of what is built on it: histories, and checkers over them."""
