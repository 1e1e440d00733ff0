"""The command line: prints for people, and JSON for programs."""
