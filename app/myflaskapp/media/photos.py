"""Photos: validated by content, rotated upright, stripped of metadata, stored in a few widths."""

import hashlib
import io
import logging
import threading
from contextlib import suppress
from datetime import timedelta

from PIL import ExifTags, Image, ImageCms, ImageOps
from sqlalchemy import select

from ..database.engine import db
from ..database.models import WIDTHS, Listing, Photo, Status, now, token, widths
from . import stores as media

MOST_PHOTOS = 6
MAX_BYTES = 10_000_000
# Pixels. A JPEG is scaled down while it is decoded; a PNG and a progressive JPEG are in memory once, a WebP three times.
MAX_PIXELS = {"JPEG": 50_000_000, "PNG": 25_000_000, "WEBP": 15_000_000}
MAX_PIXELS_PROGRESSIVE = 25_000_000
FORMATS = tuple(MAX_PIXELS)
KIND = "image/webp"
LONGEST_SIDE = 16_000
# Scans of a JPEG: each takes as long as the whole picture, and about ten are normal.
MAX_PARTS = 100
QUALITY = 80
# How long a listing may use an uploaded photo. An unused one is removed some time later, so never while it is being used;
# those of a refused listing after a month.
NAMED_WITHIN = timedelta(days=1)
ORPHAN = NAMED_WITHIN + timedelta(hours=1)
REFUSED = timedelta(days=30)

_START_OF_PART = b"\xff\xda"
# EXIF orientations that swap width and height.
_TURNED = range(5, 9)
_SRGB = ImageCms.createProfile("sRGB")

log = logging.getLogger(__name__)
# Decoding a photo takes up to 250 MB, so each worker decodes one at a time.
_decoding = threading.Semaphore()


class NotAPhotoError(Exception):
    """The file is not a JPEG, PNG or WebP image."""


class BadPhotoError(Exception):
    """The photo is rejected; the message has the reason."""


def add(content: bytes) -> Photo:
    """Store the photo in the file `content` and return its committed row, without a listing.

    Raises:
        NotAPhotoError: It is not an image in a supported format.
        BadPhotoError: It is too large or broken.
        media.MediaError: It can't be stored at the moment.
    """
    versions = encode(content)
    largest = max(versions)
    width, height, _ = versions[largest]
    photo = Photo(name=token(), width=width, height=height, digest=hashlib.sha256(content).hexdigest())
    try:
        for version in versions.values():
            media.store().put(_key(photo.name, version[0]), version[2], KIND)
        db.session.add(photo)
        db.session.commit()
    except Exception:
        db.session.rollback()
        _forget(photo.name, list(versions))
        raise
    return photo


def encode(content: bytes) -> dict[int, tuple[int, int, bytes]]:
    """Return width, height and file of each version of the picture in `content`, by width.

    Raises:
        NotAPhotoError: It is not an image in a supported format.
        BadPhotoError: It is too large or broken.
    """
    with _decoding:
        image = _decode(content)
        found = {}
        for width in widths(image.width):
            height = max(1, round(image.height * width / image.width))
            version = image.resize((width, height), Image.Resampling.LANCZOS, reducing_gap=3)
            file = io.BytesIO()
            # None of the original's metadata is kept.
            version.save(file, "WEBP", quality=QUALITY, method=4)
            found[width] = (width, height, file.getvalue())
        return found


def _decode(content: bytes) -> Image.Image:
    """Return the picture, upright, in the web's three colours, no wider than the largest version."""
    try:
        image = Image.open(io.BytesIO(content), formats=FORMATS)
    except Image.DecompressionBombError:
        raise BadPhotoError(_too_large(max(MAX_PIXELS.values()))) from None
    except Exception:
        # Any error of the decoder is caused by the file.
        raise NotAPhotoError from None
    most = MAX_PIXELS_PROGRESSIVE if image.info.get("progressive") else MAX_PIXELS[image.format or ""]
    if max(image.size) > LONGEST_SIDE or image.width * image.height > most:
        raise BadPhotoError(_too_large(most))
    if image.format == "JPEG" and content.count(_START_OF_PART) > MAX_PARTS:
        raise BadPhotoError(f"must be in at most {MAX_PARTS} parts: save it anew, without 'progressive'")
    try:
        # A JPEG can be decoded at half its size or less, which saves most of the time and memory.
        image.draft("RGB", (WIDTHS[-1], WIDTHS[-1]))
        return _in_colours_of_the_web(ImageOps.exif_transpose(_shrink(_with_greys_and_edges(image))))
    except Exception:
        raise BadPhotoError("can't be read: the file is broken") from None


def _with_greys_and_edges(image: Image.Image) -> Image.Image:
    """Return the picture in a mode that can be scaled down smoothly."""
    if image.mode.startswith("I"):
        # Sixteen bits, which Pillow would clip instead of scaling.
        return image.convert("I").point(lambda value: value * (1 / 257)).convert("L")
    if image.mode in ("LA", "PA") or "transparency" in image.info:
        return image.convert("RGBA")
    return image if image.mode in ("L", "RGB", "RGBA", "CMYK") else image.convert("RGB")


def _shrink(image: Image.Image) -> Image.Image:
    """Return the picture, no wider than the largest version when it is upright."""
    turned = image.getexif().get(ExifTags.Base.Orientation) in _TURNED
    width = image.height if turned else image.width
    if width <= WIDTHS[-1]:
        return image
    size = [max(1, round(side * WIDTHS[-1] / width)) for side in image.size]
    return image.resize((size[0], size[1]), Image.Resampling.LANCZOS, reducing_gap=3)


def _in_colours_of_the_web(image: Image.Image) -> Image.Image:
    """Return the picture in sRGB; what is transparent becomes white."""
    profile = image.info.get("icc_profile")
    if image.mode == "RGBA":
        image = Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    if profile:
        # An invalid profile is ignored.
        with suppress(OSError, ImageCms.PyCMSError):
            given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
            return ImageCms.profileToProfile(image, given, _SRGB, outputMode="RGB")
    return image.convert("RGB")


def _too_large(most: int) -> str:
    return f"must have at most {most // 1_000_000} million pixels, and at most {LONGEST_SIDE} on a side"


def _key(name: str, width: int) -> str:
    """Return the key in the store, which can't be derived from the URL, nor the URL from it."""
    return f"photos/{hashlib.sha256(name.encode()).hexdigest()}/{width}.webp"


def read(photo: Photo, width: int) -> bytes | None:
    """Return the file of a version, None when there is none.

    Raises:
        media.MediaError: It can't be read at the moment.
    """
    return media.store().get(_key(photo.name, width))


def find(name: str) -> tuple[Photo, bool] | None:
    """Return a photo by its name and whether visitors may see it."""
    row = db.session.execute(
        select(Photo, Listing.status).outerjoin(Listing, Photo.listing_id == Listing.id).where(Photo.name == name)
    ).first()
    return (row[0], row[1] == Status.PUBLISHED.value) if row else None


def remove_unused() -> int:
    """Remove unused photos and return their number.

    Raises:
        media.MediaError: The store is unavailable; the rest is removed the next time.
    """
    orphans = select(Photo).where(Photo.listing_id.is_(None), Photo.created_at < now() - ORPHAN)
    refused = (
        select(Photo)
        .join(Listing, Photo.listing_id == Listing.id)
        .where(Listing.status == Status.REJECTED.value, Listing.decided_at < now() - REFUSED)
    )
    count = 0
    for query in (orphans, refused):
        for photo in db.session.scalars(query):
            # Files first: a remaining row is found again.
            media.store().delete([_key(photo.name, width) for width in widths(photo.width)])
            db.session.delete(photo)
            db.session.commit()
            count += 1
    return count


def _forget(name: str, kept: list[int]) -> None:
    """Remove the files of a photo that was not stored."""
    try:
        media.store().delete([_key(name, width) for width in kept])
    except media.MediaError as error:
        log.warning("orphaned photo files", extra={"fields": {"reason": str(error)}})
