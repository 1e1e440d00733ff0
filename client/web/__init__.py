"""What the API and the console share: who calls, problems, headers, limits and the server."""
