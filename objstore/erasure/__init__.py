"""Turning stripes into shards and back. No I/O."""
