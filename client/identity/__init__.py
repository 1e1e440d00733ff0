"""The identity provider: people sign in with it, and programs call with its tokens."""
