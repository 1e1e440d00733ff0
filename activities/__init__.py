"""Every side effect of a run: model turns, tool calls, expiry, endings."""
