"""What crosses boundaries: messages, requests, answers, approval rules, the viewer."""
