"""The entry of the blog."""

from app import create_app

app = create_app()
