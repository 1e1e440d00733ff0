"""Reading runs, sessions, steps, history and events; `files` also stores."""
