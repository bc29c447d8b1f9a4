"""The admin program, `dyn-cli`."""
