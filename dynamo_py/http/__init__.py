"""The node's HTTP side: health, status and metrics, on Starlette and Hypercorn."""
