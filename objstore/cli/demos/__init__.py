"""Demonstrations that prove what a layout promises, each on a cluster of its own."""
