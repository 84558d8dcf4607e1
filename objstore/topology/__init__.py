"""Which slots exist, where they are, which shard goes where. No I/O."""
