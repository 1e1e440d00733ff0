"""The deterministic part: what comes next, what is waited for, and until when."""
