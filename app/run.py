"""Entry point: gunicorn runs `run:app`, the command line `flask --app run`."""

from myflaskapp import create_app

app = create_app()
