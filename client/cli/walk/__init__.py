"""The walk through what waits: one decision fills the screen, and a key answers it."""
