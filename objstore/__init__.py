"""objstore: an S3-compatible object store that erasure-codes over servers and drives."""

__version__ = "0.1.0"
