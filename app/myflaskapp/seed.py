"""`flask --app run seed`: sample content for an empty database."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import func, select

from .database import db
from .models import Category, Listing, Resource, Status, now

SAMPLE = Path(__file__).resolve().parent / "sample_data.json"


@click.command("seed")
@with_appcontext
def seed() -> None:
    """Put sample categories, listings and resources into an empty database; leave any other as it is."""
    tables = {"categories": Category, "listings": Listing, "resources": Resource}
    found = {name: db.session.scalar(select(func.count()).select_from(table)) for name, table in tables.items()}
    if any(found.values()):
        click.echo(f"The database holds {_tell(found)} already: nothing added.")
        return
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))
    categories = {entry["slug"]: Category(**entry) for entry in sample["categories"]}
    db.session.add_all(categories.values())
    # Oldest first, so that ids rise with time as they would by themselves.
    for entry in sorted(sample["listings"], key=lambda entry: -entry["hours_ago"]):
        db.session.add(_listing(entry, categories))
    db.session.add_all(Resource(**entry) for entry in sample["resources"])
    db.session.commit()
    click.echo(f"Added {_tell({name: len(sample[name]) for name in tables})}.")


def _listing(entry: dict[str, Any], categories: dict[str, Category]) -> Listing:
    values = {key: value for key, value in entry.items() if key not in ("category", "hours_ago")}
    return Listing(
        **values,
        category=categories[entry["category"]],
        status=Status.PUBLISHED.value,
        created_at=now() - timedelta(hours=entry["hours_ago"]),
    )


def _tell(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
