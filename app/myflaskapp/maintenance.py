"""`flask --app run clean`: removes what nobody needs any more. Run it daily."""

import click
from flask.cli import with_appcontext

from .database.engine import db
from .media import photos
from .moderation import moderators
from .web import rate_limits


@click.command("clean")
@with_appcontext
def clean() -> None:
    """Remove photos without a listing, photos of listings that were refused, expired logins and counts."""
    sessions, counts = moderators.remove_past_sessions(), rate_limits.remove_past()
    db.session.commit()
    removed = photos.remove_unused()
    click.echo(f"Removed {removed} photos, {sessions} logins, {counts} counts.")
