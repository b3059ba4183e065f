"""The tables."""

from app import db


class User(db.Model):
    """An account."""

    __tablename__ = "account"
    id = db.Column(db.Integer, primary_key=True)
    name = db.Column(db.String(64), unique=True, nullable=False)
    password = db.Column(db.String(255), nullable=False)


class Post(db.Model):
    """A post, with its number of words once the worker has counted them."""

    id = db.Column(db.Integer, primary_key=True)
    text = db.Column(db.Text, nullable=False)
    words = db.Column(db.Integer)
