"""The operators' console: pages and forms as HTML text, made of what the server hands over."""
