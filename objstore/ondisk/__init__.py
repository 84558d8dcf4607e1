"""Bytes that rest: every format a drive holds. docs/format/ comes first. No I/O."""
