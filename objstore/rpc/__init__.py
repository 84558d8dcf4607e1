"""Node to node: authenticated calls and streams. Knows no drives."""
