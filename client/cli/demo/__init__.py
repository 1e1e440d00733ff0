"""The demonstration: a shop's agent, a person who decides, and a worker that is killed."""
