"""How many slots must agree, and whether they did. No I/O."""
