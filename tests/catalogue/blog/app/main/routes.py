"""The routes of the posts."""

from flask import current_app, request
from sqlalchemy import select

from app import db
from app.auth.routes import login_required
from app.main import bp
from app.models import Post


@bp.route("/")
@bp.route("/index")
@login_required
def index():
    """Return the posts."""
    posts = db.session.scalars(select(Post).order_by(Post.id)).all()
    return {"version": 1, "notes": [post.text for post in posts], "words": [post.words for post in posts]}


@bp.route("/notes", methods=["POST"])
@login_required
def create():
    """Add a post, whose words a worker counts."""
    post = Post(text=request.form["text"])
    db.session.add(post)
    db.session.commit()
    current_app.queue.enqueue("app.tasks.count_words", post.id)
    return {}
