"""Logical dumps of a MySQL database in S3, and their restore."""
