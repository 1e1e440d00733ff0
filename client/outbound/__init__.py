"""What is sent outside: webhooks to programs, and messages to people."""
