"""The history of the tables.

Each revision says the oldest revision whose code can still work with its tables: its `min_reader`.
The database keeps both in `kern_version`.
"""

HEAD = "0001"
# That of the revision `HEAD`.
MIN_READER = "0001"
