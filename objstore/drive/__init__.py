"""One drive: the protocol, its implementations and its wrappers."""
