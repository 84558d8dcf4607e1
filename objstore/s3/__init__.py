"""The S3 operations: one table, one file per family. No aiohttp."""
