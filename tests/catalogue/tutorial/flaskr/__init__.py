"""A board of notes, in the shape of Flask's tutorial: a factory, an instance directory, SQLite."""

import os

from flask import Flask


def create_app(test_config=None):
    """Create the app."""
    app = Flask(__name__, instance_relative_config=True)
    app.config.from_mapping(SECRET_KEY="dev", DATABASE=os.path.join(app.instance_path, "flaskr.sqlite"))
    if test_config is None:
        app.config.from_pyfile("config.py", silent=True)
    else:
        app.config.update(test_config)
    os.makedirs(app.instance_path, exist_ok=True)

    from flaskr import auth, board, db

    db.init_app(app)
    app.register_blueprint(auth.bp)
    app.register_blueprint(board.bp)
    app.add_url_rule("/", endpoint="index")
    return app
