"""A storm over everything that Kern stands on, while people decide and money moves."""
