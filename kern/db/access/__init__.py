"""Who may come in: tokens, and sessions of browsers."""
