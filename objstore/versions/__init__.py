"""The order of versions, and choosing among what slots answered. No I/O."""
