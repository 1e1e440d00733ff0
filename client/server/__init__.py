"""The Temporal server that processes of one folder share."""
