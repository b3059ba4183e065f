"""`flask --app run seed`: sample content for an empty database; with a number, as many listings more, to measure with."""

import json
import random
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import click
from flask.cli import with_appcontext
from sqlalchemy import func, insert, select, text

from ..database.engine import db
from ..database.models import TITLE, Category, Listing, Resource, Status, now, token
from ..media import photos

# Shared with the pages opened from disk: a script that contains one JSON object.
SAMPLE_DIRECTORY = Path(__file__).resolve().parents[2] / "client" / "sample"
BATCH = 5000
YEAR_IN_SECONDS = 365 * 24 * 3600


@click.command("seed")
@click.option("--listings", "count", type=click.IntRange(1, 1_000_000), help="Add this many made-up listings instead.")
@with_appcontext
def seed(count: int | None) -> None:
    """Insert sample categories, listings and resources into an empty database; do not change any other."""
    sample = _read_sample()
    if count:
        _add_many(sample, count)
        return
    tables = {"categories": Category, "listings": Listing, "resources": Resource}
    found = {name: db.session.scalar(select(func.count()).select_from(table)) for name, table in tables.items()}
    if any(found.values()):
        click.echo(f"The database holds {_tell(found)} already: nothing added.")
        return
    categories = {entry["slug"]: Category(**entry) for entry in sample["categories"]}
    # Nothing is pending yet, because adding a photo commits.
    listings = [
        _listing(entry, categories) for entry in sorted(sample["listings"], key=lambda entry: -entry["hours_ago"])
    ]
    db.session.add_all(categories.values())
    # Oldest first, so that ids increase with time as usual.
    db.session.add_all(listings)
    db.session.add_all(Resource(**entry) for entry in sample["resources"])
    db.session.commit()
    click.echo(f"Added {_tell({name: len(sample[name]) for name in tables})}.")


def _read_sample() -> dict[str, Any]:
    script = (SAMPLE_DIRECTORY / "data.js").read_text(encoding="utf-8")
    return json.loads(script[script.index("{") : script.rindex("}") + 1])


def _listing(entry: dict[str, Any], categories: dict[str, Category]) -> Listing:
    values = {key: value for key, value in entry.items() if key not in ("category", "hours_ago", "photos")}
    moment = now() - timedelta(hours=entry["hours_ago"])
    pictures = [photos.add((SAMPLE_DIRECTORY / name).read_bytes()) for name in entry.get("photos", [])]
    for position, photo in enumerate(pictures):
        photo.position = position
    return Listing(
        **values,
        photos=pictures,
        category=categories[entry["category"]],
        status=Status.PUBLISHED.value,
        created_at=moment,
        published_at=moment,
        decided_at=moment,
    )


def _add_many(sample: dict[str, Any], count: int) -> None:
    """Add `count` published listings whose words, places and categories are the sample's; the same ones each time."""
    categories = list(db.session.scalars(select(Category.id).order_by(Category.id)))
    if not categories:
        raise click.UsageError("The database has no categories yet: run `flask --app run seed` first.")
    chance = random.Random(count)
    added = 0
    for batch in _batches(sample["listings"], categories, count, chance):
        db.session.execute(insert(Listing), batch)
        db.session.commit()
        added += len(batch)
        click.echo(f"Added {added} of {count} listings.")
    if db.engine.dialect.name == "mysql":
        # Statistics for the query planner.
        db.session.execute(text("ANALYZE TABLE listing"))


def _batches(
    sample: list[dict[str, Any]], categories: list[int], count: int, chance: random.Random
) -> Iterator[list[dict[str, Any]]]:
    words = sorted({word for entry in sample for word in f"{entry['title']} {entry['description']}".split()})
    places = sorted({entry["place"] for entry in sample})
    began = now()
    for start in range(0, count, BATCH):
        yield [
            _made_up(words, places, categories, began - timedelta(seconds=chance.randrange(YEAR_IN_SECONDS)), chance)
            for _ in range(min(BATCH, count - start))
        ]


def _made_up(
    words: list[str], places: list[str], categories: list[int], moment: Any, chance: random.Random
) -> dict[str, Any]:
    return {
        "title": " ".join(chance.choices(words, k=5))[:TITLE].strip(),
        "description": " ".join(chance.choices(words, k=40)),
        "category_id": chance.choice(categories),
        "place": chance.choice(places),
        "price_cents": chance.choice([None, 0, chance.randrange(100, 500_000)]),
        "contact_email": "somebody@example.org",
        "status": Status.PUBLISHED.value,
        "reason": "",
        "receipt": token(),
        "created_at": moment,
        "published_at": moment,
        "decided_at": moment,
    }


def _tell(counts: dict[str, Any]) -> str:
    return ", ".join(f"{count} {name}" for name, count in counts.items())
