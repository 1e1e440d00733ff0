"""Reading runs, sessions, steps, history and events; nothing here writes."""
