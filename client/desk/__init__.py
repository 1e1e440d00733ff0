"""The console's routes: they read facts from the service, and hand them to what renders pages."""
