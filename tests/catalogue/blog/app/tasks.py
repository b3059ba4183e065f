"""What the worker does."""

from app import create_app, db
from app.models import Post

app = create_app()


def count_words(number):
    """Count the words of a post."""
    with app.app_context():
        post = db.session.get(Post, number)
        post.words = len(post.text.split())
        db.session.commit()
