"""Who may sign requests: the identities, and how they are named."""
