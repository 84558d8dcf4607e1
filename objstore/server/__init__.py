"""The composition root: the only place that builds the real things and connects them."""
