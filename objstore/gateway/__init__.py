"""The HTTP edge: everything that knows aiohttp on the public port."""
