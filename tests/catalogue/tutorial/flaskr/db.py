"""The database."""

import sqlite3

import click
from flask import current_app, g


def get_db():
    """Return the request's connection."""
    if "db" not in g:
        g.db = sqlite3.connect(current_app.config["DATABASE"], detect_types=sqlite3.PARSE_DECLTYPES)
        g.db.row_factory = sqlite3.Row
    return g.db


def close_db(error=None):
    """Close the request's connection."""
    if db := g.pop("db", None):
        db.close()


def init_db():
    """Delete the data and create new tables."""
    with current_app.open_resource("schema.sql") as file:
        get_db().executescript(file.read().decode())


@click.command("init-db")
def init_db_command():
    """Delete the data and create new tables."""
    init_db()
    click.echo("Initialized the database.")


def init_app(app):
    """Register the database with the app."""
    app.teardown_appcontext(close_db)
    app.cli.add_command(init_db_command)
