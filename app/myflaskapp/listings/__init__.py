"""Listings: search, submission, paging and sample data."""
