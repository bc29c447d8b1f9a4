"""A demo: a shopping cart that loses no item."""
