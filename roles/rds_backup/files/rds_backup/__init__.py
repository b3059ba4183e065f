"""Logical dumps of a MySQL database in S3, and how they are restored."""
