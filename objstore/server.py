"""The composition root: the only module that builds the real things and connects them."""
