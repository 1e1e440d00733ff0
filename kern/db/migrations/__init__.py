"""The history of the tables."""

HEAD = "0005"
