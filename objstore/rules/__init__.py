"""What a bucket's configuration means for one request or one key: pure decisions.

Nothing here reads a clock or an object: times, sizes and tags are given, and what follows from
them is returned. The documents themselves are read in wire/config_documents.
"""

from objstore.rules import cors, lifecycle, retention

__all__ = ["cors", "lifecycle", "retention"]
