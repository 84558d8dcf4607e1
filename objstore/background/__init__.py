"""What runs without a request: drive monitor, rebuild, heal queue, reaper, lifecycle."""
