"""Bytes that travel: HTTP, S3 and XML grammar, as pure readers and writers. No I/O."""
