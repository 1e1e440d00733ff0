"""The database: tables, columns, transactions, and rows without the ORM."""
