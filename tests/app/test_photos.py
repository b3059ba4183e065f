"""Photos: upload, storage and removal."""

import io
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import boto3
import config
import pytest
from botocore.exceptions import ClientError
from conftest import Picture, make_app, run
from flask import Flask
from flask.testing import FlaskClient
from moto import mock_aws
from myflaskapp.database.engine import db
from myflaskapp.database.models import Listing, Photo, Status, now
from myflaskapp.media import photos
from myflaskapp.media import stores as media
from PIL import Image, ImageCms
from sqlalchemy import select

URL = "/api/v1/photos"
SUBMISSIONS = "/api/v1/submissions"
RED, BLUE = (220, 30, 30), (30, 30, 220)


def send(client: FlaskClient, content: bytes, kind: str = "image/jpeg") -> Any:
    return client.post(URL, data=content, content_type=kind)


def detail(answer: Any, status: int) -> str:
    assert (answer.status_code, answer.mimetype) == (status, "application/problem+json")
    return " ".join([answer.json["detail"], *(error["detail"] for error in answer.json.get("errors", []))])


def publish(app: Flask, receipt: str, status: Status = Status.PUBLISHED) -> int:
    with app.app_context():
        listing = db.session.scalars(select(Listing).where(Listing.receipt == receipt)).one()
        listing.status, listing.published_at, listing.decided_at = status.value, now(), now()
        db.session.commit()
        return listing.id


def stored(tmp_path: Path) -> list[Path]:
    """Return the stored photo files."""
    return [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


def opened(client: FlaskClient, url: str) -> Image.Image:
    return Image.open(io.BytesIO(client.get(url).data))


@pytest.fixture
def shown(app: Flask, client: FlaskClient, submission: dict[str, Any], picture: Picture) -> dict[str, Any]:
    """A published listing with one photo."""
    photo = send(client, picture(2000, 1500)).json
    receipt = client.post(SUBMISSIONS, json=submission | {"photos": [photo["id"]]}).json["receipt"]
    return client.get(f"/api/v1/listings/{publish(app, receipt)}").json


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_is_stored_in_a_few_widths(client: FlaskClient, picture: Picture, kind: str) -> None:
    answer = send(client, picture(1600, 1200, kind))
    assert answer.status_code == 201
    assert (answer.json["width"], answer.json["height"]) == (1280, 960)
    assert [(size["width"], size["height"]) for size in answer.json["sizes"]] == [(320, 240), (640, 480), (1280, 960)]


def test_a_small_photo_is_not_enlarged(client: FlaskClient, picture: Picture) -> None:
    assert [size["width"] for size in send(client, picture(500, 400)).json["sizes"]] == [320, 500]
    assert [size["width"] for size in send(client, picture(200, 100)).json["sizes"]] == [200]


def test_photos_of_a_listing_come_in_their_order_and_for_a_year(client: FlaskClient, shown: dict[str, Any]) -> None:
    (photo,) = shown["photos"]
    for size in photo["sizes"]:
        answer = client.get(size["url"])
        assert (answer.status_code, answer.mimetype) == (200, "image/webp")
        assert "max-age=31536000" in answer.headers["Cache-Control"]
        assert Image.open(io.BytesIO(answer.data)).size == (size["width"], size["height"])
        again = client.get(size["url"], headers={"If-None-Match": answer.headers["ETag"]})
        assert (again.status_code, again.data) == (304, b"")


def test_the_order_of_photos_is_the_senders(
    app: Flask, client: FlaskClient, submission: dict[str, Any], picture: Picture
) -> None:
    sent = [send(client, picture(400 + step, 300)).json["id"] for step in range(3)]
    order = [sent[2], sent[0], sent[1]]
    receipt = client.post(SUBMISSIONS, json=submission | {"photos": order}).json["receipt"]
    listing = client.get(f"/api/v1/listings/{publish(app, receipt)}").json
    assert [photo["id"] for photo in listing["photos"]] == order
    page = client.get(f"/listings/{listing['id']}").text
    assert [page.index(name) for name in order] == sorted(page.index(name) for name in order)
    assert f"http://localhost/media/{order[0]}" in page


def test_a_url_reveals_no_key(client: FlaskClient, shown: dict[str, Any], tmp_path: Path) -> None:
    name = shown["photos"][0]["id"]
    assert re.fullmatch("[0-9a-f]{32}", name)
    assert len(stored(tmp_path)) >= 3
    assert not [path for path in stored(tmp_path) if name in str(path)]
    assert "photos/" not in "".join(str(size) for size in shown["photos"][0]["sizes"])


def test_a_photo_is_not_shown_before_its_listing(client: FlaskClient, picture: Picture) -> None:
    photo = send(client, picture()).json
    assert client.get(photo["sizes"][0]["url"]).status_code == 404


@pytest.mark.parametrize("path", ["x-320.webp", "x-0.webp", "x.webp", "../run.py", "%2e%2e%2frun.py-320.webp"])
def test_no_such_photo(client: FlaskClient, path: str) -> None:
    assert client.get(f"/media/{path}").status_code == 404


def test_no_such_width(client: FlaskClient, shown: dict[str, Any]) -> None:
    for width in (0, 1, 321, 4000, 10**12):
        name = f"{shown['photos'][0]['id']}-{width}"
        assert client.get(f"/media/{name}.webp", headers={"If-None-Match": f'"{name}"'}).status_code == 404


def test_only_the_picture_is_kept(
    app: Flask, client: FlaskClient, submission: dict[str, Any], picture: Picture
) -> None:
    exif = Image.Exif()
    exif[0x010F] = "Maker-secret"
    exif.get_ifd(0x8825)[1] = "N"
    content = picture(800, 600, "JPEG", exif=exif, comment=b"comment-secret")
    assert b"secret" in content
    photo = send(client, content).json
    receipt = client.post(SUBMISSIONS, json=submission | {"photos": [photo["id"]]}).json["receipt"]
    publish(app, receipt)
    for size in photo["sizes"]:
        data = client.get(size["url"]).data
        assert b"secret" not in data
        assert not Image.open(io.BytesIO(data)).getexif()


def test_a_photo_taken_sideways_is_turned_upright() -> None:
    image = Image.new("RGB", (400, 200), RED)
    image.paste(BLUE, (0, 0, 200, 200))
    exif = Image.Exif()
    exif[0x0112] = 6
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95)
    versions = photos.encode(file.getvalue())
    upright = Image.open(io.BytesIO(versions[200][2]))
    assert upright.size == (200, 400)
    assert upright.getpixel((100, 50))[2] > 150
    assert upright.getpixel((100, 350))[0] > 150


def test_transparency_becomes_white() -> None:
    file = io.BytesIO()
    Image.new("RGBA", (64, 64), (0, 0, 0, 0)).save(file, "PNG")
    image = Image.open(io.BytesIO(photos.encode(file.getvalue())[64][2]))
    assert min(image.convert("RGB").getpixel((30, 30))) > 250


def test_sixteen_bit_greys_stay_distinct() -> None:
    image = Image.new("I;16", (60, 20))
    for x in range(60):
        for y in range(20):
            image.putpixel((x, y), 65535 * (x // 20) // 2)
    file = io.BytesIO()
    image.save(file, "PNG")
    shown = Image.open(io.BytesIO(photos.encode(file.getvalue())[60][2])).convert("L")
    dark, middle, light = (shown.getpixel((x, 10)) for x in (10, 30, 50))
    assert dark < 10
    assert 110 < middle < 145
    assert light > 245


def test_a_colour_profile_is_converted_to_srgb() -> None:
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    # A profile that swaps red and blue.
    swapped = profile.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")
    for told, expected in ((swapped, (0, 0, 255)), (b"no profile", (255, 0, 0))):
        file = io.BytesIO()
        Image.new("RGB", (64, 64), (255, 0, 0)).save(file, "PNG", icc_profile=told)
        shown = Image.open(io.BytesIO(photos.encode(file.getvalue())[64][2])).convert("RGB").getpixel((30, 30))
        assert max(abs(one - other) for one, other in zip(shown, expected, strict=True)) < 12


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "CMYK", "I;16", "YCbCr"])
def test_every_colour_mode_is_accepted(client: FlaskClient, mode: str) -> None:
    file = io.BytesIO()
    Image.new(mode, (64, 64)).save(file, "JPEG" if mode in ("CMYK", "YCbCr") else "PNG")
    assert send(client, file.getvalue()).status_code == 201


def test_an_animation_is_its_first_frame(client: FlaskClient) -> None:
    frames = [Image.new("RGB", (64, 64), colour) for colour in (RED, BLUE)]
    file = io.BytesIO()
    frames[0].save(file, "WEBP", save_all=True, append_images=frames[1:])
    assert send(client, file.getvalue(), "image/webp").status_code == 201


def zip_file() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("photo.jpg", "no photo")
    return file.getvalue()


def gif() -> bytes:
    file = io.BytesIO()
    Image.new("P", (64, 64)).save(file, "GIF")
    return file.getvalue()


def png(width: int, height: int, data: bytes) -> bytes:
    """Return a PNG with one bit per pixel that declares this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")


NO_PICTURES = {
    "nothing": b"",
    "a text": b"hello",
    "a ZIP": zip_file(),
    "a GIF": gif(),
    "a page": b"<html><script>alert(1)</script>",
    "an SVG": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
    "a JPEG's first bytes": b"\xff\xd8\xff\xe0",
}


@pytest.mark.parametrize("name", NO_PICTURES)
def test_a_file_that_is_not_a_picture_is_refused_whatever_its_type(
    client: FlaskClient, tmp_path: Path, count: Callable[[str], int], name: str
) -> None:
    before = (count("photo"), len(stored(tmp_path)))
    assert "JPEG, PNG or WebP" in detail(send(client, NO_PICTURES[name]), 415)
    assert (count("photo"), len(stored(tmp_path))) == before


def bomb(width: int, height: int) -> bytes:
    """Return a small file whose picture takes much memory."""
    return png(width, height, zlib.compress(b"\0" * ((width // 8 + 1) * height), 9))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (bomb(15_000, 15_000), "million pixels"),
        (png(60_000, 60_000, b""), "million pixels"),
        (png(2**31 - 1, 2**31 - 1, b""), "million pixels"),
        (png(17_000, 100, b""), "on a side"),
        (bomb(5_100, 5_000), "at most 25 million pixels"),
        (png(100, 100, zlib.compress(b"\0" * 10)), "broken"),
        (png(100, 100, b"no zlib"), "broken"),
    ],
)
def test_a_photo_that_is_too_large_or_broken_is_refused(
    client: FlaskClient, tmp_path: Path, count: Callable[[str], int], content: bytes, said: str
) -> None:
    before = (count("photo"), len(stored(tmp_path)))
    assert said in detail(send(client, content, "image/png"), 422)
    assert (count("photo"), len(stored(tmp_path))) == before


def scans(count: int) -> bytes:
    """Return a progressive JPEG with its last scan repeated; each takes the decoder as long as the whole picture."""
    file = io.BytesIO()
    Image.new("L", (640, 480), 9).save(file, "JPEG", progressive=True)
    content = file.getvalue()
    last = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + last * count + b"\xff\xd9"


def test_a_photo_with_many_scans_is_refused_immediately(client: FlaskClient) -> None:
    assert send(client, scans(10)).status_code == 201
    assert "parts" in detail(send(client, scans(200)), 422)


# Pictures that take the most memory for their size.
GREEDY = {
    "a transparent PNG": "Image.new('RGBA', (5000, 5000), (9, 9, 9, 128)).save(file, 'PNG')",
    "a WebP": "Image.new('RGBA', (5000, 3000), (9, 9, 9, 128)).save(file, 'WEBP')",
    "a JPEG": "Image.new('RGB', (8000, 6250)).save(file, 'JPEG', subsampling=0)",
    "a progressive JPEG": "Image.new('RGB', (5000, 5000)).save(file, 'JPEG', subsampling=0, progressive=True)",
}


@pytest.mark.parametrize("name", GREEDY)
def test_no_photo_takes_more_memory_than_a_small_host_has(app_directory: Path, tmp_path: Path, name: str) -> None:
    file = tmp_path / "photo"
    make = f"from PIL import Image; file = {str(file)!r}; {GREEDY[name]}"
    read = (
        "import resource, pathlib; from myflaskapp.media import photos; used = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss; "
        f"before = used(); photos.encode(pathlib.Path({str(file)!r}).read_bytes()); print((used() - before) // 1024)"
    )
    for program in (make, read):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=app_directory, capture_output=True, text=True, check=True, timeout=120
        )
    assert int(done.stdout) < 250, f"{done.stdout.strip()} MB"
    print(name, done.stdout.strip(), "MB")


def test_a_truncated_jpeg_is_refused(client: FlaskClient, picture: Picture) -> None:
    content = picture(800, 600)
    assert "broken" in detail(send(client, content[: len(content) // 2]), 422)


def test_ten_megabytes_and_more_are_refused(client: FlaskClient) -> None:
    assert "at most 10 MB" in detail(send(client, b"\xff\xd8" + bytes(10_000_000)), 413)


def test_a_body_without_a_length_is_not_truncated(client: FlaskClient, picture: Picture) -> None:
    chunked = {"wsgi.input_terminated": True, "HTTP_TRANSFER_ENCODING": "chunked"}
    small, large = picture(), picture() + bytes(12_000_000)
    for content, status in ((small, 201), (large, 413)):
        answer = client.post(
            URL, input_stream=io.BytesIO(content), content_type="image/jpeg", environ_overrides=chunked
        )
        assert answer.status_code == status


def test_a_photo_belongs_to_one_listing(client: FlaskClient, submission: dict[str, Any], picture: Picture) -> None:
    name = send(client, picture()).json["id"]
    assert client.post(SUBMISSIONS, json=submission | {"photos": [name]}).status_code == 201
    other = submission | {"title": "Another", "photos": [name]}
    assert "no other listing" in detail(client.post(SUBMISSIONS, json=other), 409)


@pytest.mark.parametrize(
    "names", [["x"], ["x" * 65], [1], "x", [None], ["a" * 32] * 2, [f"{n:032}" for n in range(7)], {}]
)
def test_invalid_photos_are_reported(client: FlaskClient, submission: dict[str, Any], names: object) -> None:
    answer = client.post(SUBMISSIONS, json=submission | {"photos": names})
    assert answer.status_code == 422
    assert all(error["pointer"].startswith("#/photos") for error in answer.json["errors"])


def test_a_missing_photo_is_reported(client: FlaskClient, submission: dict[str, Any]) -> None:
    answer = client.post(SUBMISSIONS, json=submission | {"photos": ["a" * 32]})
    assert "within the last day" in detail(answer, 409)
    assert answer.json["errors"][0]["pointer"] == "#/photos/0"


def test_a_duplicate_photo_makes_a_duplicate_listing(
    client: FlaskClient, submission: dict[str, Any], picture: Picture
) -> None:
    answers = []
    for _ in range(2):
        name = send(client, picture()).json["id"]
        answers.append(client.post(SUBMISSIONS, json=submission | {"photos": [name]}))
    assert [answer.status_code for answer in answers] == [201, 200]
    assert answers[0].json == answers[1].json


def test_unused_photos_are_cleaned_up(
    app: Flask, client: FlaskClient, submission: dict[str, Any], shown: dict[str, Any], picture: Picture, tmp_path: Path
) -> None:
    before = len(stored(tmp_path))
    for width in (300, 310):
        send(client, picture(width, 200))
    taken = send(client, picture(305, 200)).json["id"]
    receipt = client.post(SUBMISSIONS, json=submission | {"photos": [taken], "title": "Refused"}).json["receipt"]
    publish(app, receipt, Status.REJECTED)
    assert "Removed 0 photos" in run(app, "clean")
    with app.app_context():
        for photo in db.session.scalars(select(Photo)):
            photo.created_at = now() - timedelta(days=2)
        refused = db.session.scalars(select(Listing).where(Listing.title == "Refused")).one()
        refused.decided_at = now() - timedelta(days=31)
        db.session.commit()
    assert "Removed 3 photos" in run(app, "clean")
    assert len(stored(tmp_path)) == before
    assert all(any(directory.iterdir()) for directory in (tmp_path / "media/photos").iterdir())
    assert client.get(shown["photos"][0]["sizes"][0]["url"]).status_code == 200


def test_an_expired_photo_is_refused_and_removed_later(
    app: Flask, client: FlaskClient, submission: dict[str, Any], picture: Picture
) -> None:
    photo = send(client, picture()).json["id"]
    with app.app_context():
        db.session.scalars(select(Photo).where(Photo.name == photo)).one().created_at = now() - timedelta(hours=24.5)
        db.session.commit()
    answer = client.post(SUBMISSIONS, json=submission | {"photos": [photo]})
    assert (answer.status_code, answer.json["errors"][0]["pointer"]) == (409, "#/photos/0")
    assert "Removed 0 photos" in run(app, "clean")


def test_a_store_that_fails_stores_nothing_and_is_a_503(
    seeded: Any, tmp_path: Path, picture: Picture, mysql_url: str
) -> None:
    (tmp_path / "media").write_text("a file where the directory should be")
    app = make_app(tmp_path, mysql_url)
    if not mysql_url:
        run(app, "db", "upgrade")
    answer = send(app.test_client(), picture())
    assert "photos can't be reached" in detail(answer, 503)
    assert int(answer.headers["Retry-After"]) > 0


class TestBucket:
    """The S3 store."""

    @pytest.fixture
    def bucket(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
        with mock_aws():
            s3 = boto3.client("s3", region_name="ca-central-1")
            s3.create_bucket(Bucket="media-1", CreateBucketConfiguration={"LocationConstraint": "ca-central-1"})
            yield s3

    def test_a_stored_file_can_be_read_and_deleted(self, bucket: Any) -> None:
        store = media.S3(config.Bucket("media-1", "ca-central-1"))
        store.check()
        store.put("photos/a/1.webp", b"picture", "image/webp")
        assert bucket.head_object(Bucket="media-1", Key="photos/a/1.webp")["ContentType"] == "image/webp"
        assert store.get("photos/a/1.webp") == b"picture"
        store.delete(["photos/a/1.webp", "never/there"])
        assert store.get("photos/a/1.webp") is None
        with pytest.raises(ClientError):
            bucket.head_object(Bucket="media-1", Key="photos/a/1.webp")

    def test_a_missing_bucket_is_an_error_without_a_key(self, bucket: Any) -> None:
        store = media.S3(config.Bucket("media-2", "ca-central-1"))
        for ask in (store.check, lambda: store.get("k/secret"), lambda: store.put("k/secret", b"", "image/webp")):
            with pytest.raises(media.MediaError) as raised:
                ask()
            assert "secret" not in str(raised.value)

    def test_the_app_uses_the_bucket_of_its_settings(self, bucket: Any, tmp_path: Path, picture: Picture) -> None:
        app = make_app(tmp_path, MEDIA_BUCKET="media-1", AWS_REGION="ca-central-1")
        run(app, "db", "upgrade")
        photo = send(app.test_client(), picture(700, 500)).json
        keys = [entry["Key"] for entry in bucket.list_objects_v2(Bucket="media-1")["Contents"]]
        assert len(keys) == len(photo["sizes"]) == 3
        assert not [key for key in keys if photo["id"] in key]
        assert not (tmp_path / "media").exists()
