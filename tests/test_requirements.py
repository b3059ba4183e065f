"""Requirements files: their packages, and whether they are locked."""

from __future__ import annotations

import pytest
from ansible.module_utils.release import requirements
from ansible.module_utils.release.errors import ReleaseError

HASH = f"--hash=sha256:{'0' * 64}"
COMMIT = "e" * 40
GUNICORN = f"gunicorn==23.0.0 {HASH}\npackaging==25.0 {HASH}\n"


def test_an_entry_may_span_lines_and_have_comments() -> None:
    text = f"# made by uv\nflask==3.1.0 \\\n    {HASH} \\\r\n    {HASH}  # via app\n\nx @ https://e.org/x#egg=x\n"
    assert [entry.split() for entry in requirements.entries(text)] == [
        ["flask==3.1.0", HASH, HASH],
        ["x", "@", "https://e.org/x#egg=x"],
    ]


@pytest.mark.parametrize(
    ("text", "locked"),
    [
        (f"flask==3.1.0 {HASH}", True),
        (f"--index-url https://e.org/simple\nflask==3.1.0 {HASH}", True),
        (f"flask @ git+https://e.org/flask.git@{COMMIT}", True),
        ("flask @ git+https://e.org/flask.git@main", False),
        (f"flask @ git+https://e.org/flask.git@{COMMIT[:12]}", False),
        (f"flask==3.1.0 {HASH}\nwerkzeug", False),
        (f"-e . {HASH}", False),
        ("-r base.txt", False),
        ("--constraint=limits.txt", False),
        ("--index-url https://e.org/simple", False),
        ("", False),
    ],
)
def test_requirements_are_locked_when_each_has_a_hash_or_a_commit(text: str, locked: bool) -> None:
    assert requirements.is_locked(text) is locked


def test_the_names_of_packages_are_normalized() -> None:
    text = "Flask_Login>=1\nzope.interface\n--index-url https://e.org\n-e .\n./next\n"
    assert requirements.names_in(text) == {"flask-login", "zope-interface"}


def test_pins_are_names_and_versions_without_extras_and_markers() -> None:
    lock = f"Uvicorn[standard]==0.30.1 ; python_version < '4' {HASH}\nflask>=3\nx @ git+https://e.org/x@{COMMIT}\n"
    assert requirements.pins_in(lock) == [("uvicorn", "0.30.1")]


def test_gunicorn_is_added_to_a_lock_file_that_lacks_it() -> None:
    lock = requirements.with_gunicorn(f"flask==3.1.0 {HASH}\n", GUNICORN)
    assert lock.splitlines() == [f"flask==3.1.0 {HASH}", *GUNICORN.splitlines()]
    assert requirements.with_gunicorn("", GUNICORN) == GUNICORN


def test_the_apps_own_versions_take_precedence() -> None:
    own = f"Gunicorn==22.0.0 {HASH}\n"
    assert requirements.with_gunicorn(own, GUNICORN) == own
    packaging = f"packaging==24.0 {HASH}\n"
    assert requirements.pins_in(requirements.with_gunicorn(packaging, GUNICORN)) == [
        ("packaging", "24.0"),
        ("gunicorn", "23.0.0"),
    ]


def test_a_requirement_without_a_hash_is_refused_by_name() -> None:
    requirements.check_lock(f"--index-url https://e.org\nflask==3.1.0 {HASH}\nx @ git+https://e.org/x@{COMMIT}\n")
    with pytest.raises(ReleaseError, match=r"^2 requirements have no hash.*: -e \./next; werkzeug==3\n"):
        requirements.check_lock(f"flask==3.1.0 {HASH}\n-e ./next\nwerkzeug==3\n")
