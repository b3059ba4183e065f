"""The moderators' pages, accounts and decisions."""
