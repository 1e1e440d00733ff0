"""What a process needs whatever it does: settings, logs, the clock, wake-ups, live text."""
