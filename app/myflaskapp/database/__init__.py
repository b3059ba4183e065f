"""The database: engine, credentials and tables."""
