"""Pets: an API that Connexion makes of its specification, next to a front end that is built with Yarn."""

import os
import sqlite3

import connexion
from flask import send_from_directory

DATABASE = os.path.join(os.path.dirname(__file__), "data", "pets.sqlite")
os.makedirs(os.path.dirname(DATABASE), exist_ok=True)


def connect():
    """Return a connection to the database."""
    return sqlite3.connect(DATABASE, isolation_level=None)


def index():
    """Return the notes."""
    with connect() as connection:
        return {"version": 1, "notes": [text for (text,) in connection.execute("SELECT text FROM note")]}


def add(body):
    """Add a note."""
    with connect() as connection:
        connection.execute("INSERT INTO note VALUES (?)", (body["text"],))
    return {}


def page(name):
    """Return a file of the front end."""
    return send_from_directory("web/dist", name)


with connect() as setup:
    setup.execute("CREATE TABLE IF NOT EXISTS note (text TEXT)")

app = connexion.FlaskApp(__name__)
app.add_api("openapi.yaml")
