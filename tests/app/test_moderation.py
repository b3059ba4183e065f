"""Moderation, for moderators and for attackers."""

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from conftest import Picture, most, run
from flask import Flask
from flask.testing import FlaskClient
from myflaskapp.database import models
from myflaskapp.database.engine import db
from myflaskapp.database.models import Listing, Moderator, Session, now
from myflaskapp.moderation import moderators
from sqlalchemy import event, select
from werkzeug.security import generate_password_hash

NAME, PASSWORD = "keeper", "tea and toutons"
LOGIN = "/moderation/login"
PAGES = ("/moderation/", "/moderation/listings/1", "/moderation/messages", "/moderation/audit")


@pytest.fixture(autouse=True)
def cheap_hashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use a cheap hash, because most of these tests log in."""
    cheap = partial(generate_password_hash, method="pbkdf2:sha256:1")
    monkeypatch.setattr(moderators, "generate_password_hash", cheap)
    monkeypatch.setattr(moderators, "_NOBODY", cheap("nobody"))


@pytest.fixture(autouse=True)
def moderator(app: Flask, cheap_hashes: None) -> None:
    """A moderator's account."""
    run(app, "moderator", "add", NAME, "--password-stdin", input=f"{PASSWORD}\n")


def token(client: FlaskClient, path: str = LOGIN) -> str:
    """Return the token in a page's form."""
    found = re.search('name="csrf_token" value="([0-9a-f]{64})"', client.get(path).text)
    assert found
    return found[1]


def log_in(client: FlaskClient, name: str = NAME, password: str = PASSWORD, following: str = "") -> Any:
    form = {"csrf_token": token(client), "name": name, "password": password, "next": following}
    return client.post(LOGIN, data=form)


@pytest.fixture
def keeper(app: Flask) -> FlaskClient:
    """A moderator who has logged in."""
    visitor = app.test_client()
    assert log_in(visitor).status_code == 303
    return visitor


@pytest.fixture
def waiting(app: Flask, client: FlaskClient, submission: dict[str, Any]) -> int:
    """The id of a pending listing."""
    return send(app, client, submission)


def send(app: Flask, client: FlaskClient, submission: dict[str, Any]) -> int:
    """Send a listing and return its id."""
    receipt = client.post("/api/v1/submissions", json=submission).json["receipt"]
    with app.app_context():
        return db.session.scalar(select(Listing.id).where(Listing.receipt == receipt)) or 0


def decide(keeper: FlaskClient, number: int, action: str, **changes: Any) -> Any:
    """Send the form of a listing with changes."""
    form = form_of(keeper, number) | {"action": action} | changes
    return keeper.post(f"/moderation/listings/{number}", data=form)


def form_of(keeper: FlaskClient, number: int) -> dict[str, Any]:
    """Return the fields of a listing's form."""
    path = f"/moderation/listings/{number}"
    page = keeper.get(path).text
    form: dict[str, Any] = {"csrf_token": token(keeper, path)}
    for name in ("state", "title", "place", "price", "contact_email"):
        form[name] = re.search(f'name="{name}"[^>]*value="([^"]*)"', page)[1]  # type: ignore[index]
    for name in ("description", "reason"):
        form[name] = re.search(f'name="{name}"[^>]*>([^<]*)<', page)[1]  # type: ignore[index]
    form["category"] = re.search('value="([^"]+)" selected', page)[1]  # type: ignore[index]
    return form


def test_visitors_are_redirected_to_the_login_and_back(client: FlaskClient) -> None:
    for path in PAGES:
        answer = client.get(path)
        assert answer.status_code == 303
        assert answer.headers["Location"].startswith(LOGIN)
    assert log_in(client, following="/moderation/audit").headers["Location"] == "/moderation/audit"


@pytest.mark.parametrize(
    "address",
    [
        "https://elsewhere.example/moderation/",
        "//elsewhere.example/moderation/",
        "/\\elsewhere",
        "/submit.html",
        "//[",
        "http://[",
        "//\u2100/x",
        "/moderation/\r\nSet-Cookie: a=b",
    ],
)
def test_the_login_leads_to_its_own_pages_only(client: FlaskClient, address: str) -> None:
    assert log_in(client, following=address).headers["Location"] == "/moderation/"


def test_the_session_is_for_this_site_only(app: Flask, client: FlaskClient) -> None:
    cookie, browser = log_in(client).headers.getlist("Set-Cookie")
    for name, set_cookie in (("__Host-session", cookie), ("__Host-browser", browser)):
        assert set_cookie.startswith(f"{name}=")
        for part in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
            assert part in set_cookie
        assert "Domain" not in set_cookie
    # The session ends with the browser.
    assert ("Max-Age" in cookie, "Max-Age=31536000" in browser) == (False, True)
    value = cookie.split("=")[1].split(";")[0]
    with app.app_context():
        assert value not in [session.token_hash for session in db.session.scalars(select(Session))]


@pytest.mark.parametrize(
    ("name", "password"),
    [(NAME, "wrong password"), ("nobody", PASSWORD), (NAME.upper(), PASSWORD), ("", ""), (NAME, PASSWORD * 50)],
)
def test_a_wrong_login_does_not_reveal_what_is_wrong(client: FlaskClient, name: str, password: str) -> None:
    answer = log_in(client, name, password)
    assert answer.status_code == 403
    assert "This name and password" in answer.text
    assert client.get("/moderation/").status_code == 303


def test_failed_logins_are_rate_limited_and_others_are_not(app: Flask, client: FlaskClient) -> None:
    assert [log_in(app.test_client()).status_code for _ in range(12)] == [303] * 12
    statuses = [log_in(client, password=f"guess {number}").status_code for number in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    answer = log_in(client)
    assert answer.status_code == 429
    assert 0 < int(answer.headers["Retry-After"]) <= 900
    assert "Easy on the oars" in answer.text


def test_failed_logins_do_not_lock_out_a_known_browser(app: Flask, keeper: FlaskClient) -> None:
    def known() -> str:
        browser = app.test_client()
        assert log_in(browser).status_code == 303
        return browser.get_cookie("__Host-browser").value  # type: ignore[union-attr]

    def try_to(password: str, address: str, cookie: str = "") -> int:
        visitor = app.test_client()
        if cookie:
            visitor.set_cookie("__Host-browser", cookie)
        # The login ignores whitespace around a name.
        form = {"csrf_token": token(visitor), "name": f" {NAME} ", "password": password}
        return visitor.post(LOGIN, data=form, environ_overrides={"REMOTE_ADDR": address}).status_code

    own, stolen = known(), known()
    guesses = [try_to(f"guess {number}", f"192.0.2.{number // 10}") for number in range(60)]
    assert guesses == [403] * 60
    assert try_to(PASSWORD, "192.0.2.99") == 429
    # Also from the attacker's address.
    assert try_to(PASSWORD, "192.0.2.1", own) == 303
    # A browser with failed logins is limited at every address, and no other is.
    assert [try_to("guess", f"198.51.100.{n}", stolen) for n in range(11)] == [403] * 10 + [429]
    assert try_to(PASSWORD, "198.51.100.1", own) == 303
    # It has to be a browser of this moderator, with the current password.
    number, proof = own.split(".")
    for forged in ("0" * 64, own[:-1], f"{'0' * 32}.{proof}", f"{number}.", "é.é"):
        assert try_to(PASSWORD, "198.51.100.2", forged) == 429
    run(app, "moderator", "add", NAME, "--password-stdin", input="another password\n")
    assert try_to("another password", "198.51.100.2", own) == 429


def test_without_a_database_a_known_browser_still_gets_the_login_form(stranded: FlaskClient) -> None:
    stranded.set_cookie("__Host-browser", f"{'0' * 32}.{'0' * 64}")
    assert stranded.get(LOGIN).status_code == 200


def test_only_a_post_logs_in(client: FlaskClient) -> None:
    for password in (PASSWORD, "a guess"):
        answer = client.head(LOGIN, data={"name": NAME, "password": password})
        assert answer.status_code == 200
        assert "__Host-session" not in answer.headers.get("Set-Cookie", "")


def test_a_logout_ends_the_session_for_every_copy_of_the_cookie(app: Flask, keeper: FlaskClient) -> None:
    thief = app.test_client()
    thief.set_cookie("__Host-session", keeper.get_cookie("__Host-session").value)  # type: ignore[union-attr]
    assert thief.get("/moderation/").status_code == 200
    keeper.post("/moderation/logout", data={"csrf_token": token(keeper, "/moderation/audit")})
    assert keeper.get("/moderation/").status_code == 303
    assert thief.get("/moderation/").status_code == 303


def test_a_session_expires(app: Flask, keeper: FlaskClient) -> None:
    with app.app_context():
        for session in db.session.scalars(select(Session)):
            session.expires_at = now() - timedelta(seconds=1)
        db.session.commit()
    assert keeper.get("/moderation/").status_code == 303
    assert "1 logins" in run(app, "clean")


def test_a_form_sent_after_the_session_has_ended_gets_an_error(app: Flask, waiting: int) -> None:
    answer = app.test_client().post(f"/moderation/listings/{waiting}", data={"action": "save", "title": "My own words"})
    assert answer.status_code == 403
    assert "Nothing was changed" in answer.text
    assert LOGIN in answer.text


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/"), ("GET", "/listings/1"), ("POST", "/listings/1"), ("POST", "/messages/1/delete")],
)
def test_without_a_database_a_moderator_is_asked_to_come_back(stranded: FlaskClient, method: str, path: str) -> None:
    stranded.set_cookie("__Host-session", "a session that can't be looked up")
    answer = stranded.open(f"/moderation{path}", method=method)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


def test_a_lost_connection_is_a_503_for_a_moderator_too(app: Flask, keeper: FlaskClient) -> None:
    with app.app_context():
        engine = db.engine

    def cut(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        if "FROM listing" in statement:
            raise engine.dialect.dbapi.OperationalError("gone")

    def record(context: Any) -> None:
        context.is_disconnect = True

    event.listen(engine, "before_cursor_execute", cut)
    event.listen(engine, "handle_error", record)
    answer = keeper.get("/listings/1")
    event.remove(engine, "before_cursor_execute", cut)
    event.remove(engine, "handle_error", record)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) > 0


@pytest.mark.parametrize("given", ["", "0" * 64, "é"])
def test_a_form_without_its_token_changes_nothing(app: Flask, keeper: FlaskClient, waiting: int, given: str) -> None:
    refused = decide(keeper, waiting, "publish", csrf_token=given)
    assert refused.status_code == 403
    # The moderator is logged in.
    assert LOGIN not in refused.text
    assert keeper.post("/moderation/logout", data={"csrf_token": given}).status_code == 403
    assert keeper.get(f"/listings/{waiting}").status_code == 404
    stranger = app.test_client()
    assert stranger.post(LOGIN, data={"csrf_token": given, "name": NAME, "password": PASSWORD}).status_code == 403


def test_the_token_of_another_visitor_is_refused(app: Flask, keeper: FlaskClient, waiting: int) -> None:
    other = app.test_client()
    log_in(other)
    assert decide(keeper, waiting, "publish", csrf_token=token(other, "/moderation/audit")).status_code == 403


def test_publishing_puts_a_listing_on_the_board(client: FlaskClient, keeper: FlaskClient, waiting: int) -> None:
    assert "Kettle, hardly used" in keeper.get("/moderation/").text
    following = decide(keeper, waiting, "publish").headers["Location"]
    assert "The listing is on the board." in keeper.get(following).text
    assert client.get("/api/v1/listings?limit=1").json["items"][0]["id"] == waiting
    assert "Kettle, hardly used" not in keeper.get("/moderation/").text
    assert "Kettle, hardly used" in keeper.get("/moderation/?status=published").text
    assert re.search(
        rf"{NAME}</td>\s*<td>published</td>\s*<td><a[^>]*>{waiting}<", keeper.get("/moderation/audit").text
    )


def test_a_refusal_needs_a_reason_that_the_sender_sees(
    app: Flask, client: FlaskClient, keeper: FlaskClient, waiting: int
) -> None:
    refused = decide(keeper, waiting, "reject")
    assert refused.status_code == 422
    assert "This must not be empty." in refused.text
    assert decide(keeper, waiting, "reject", reason="Kettles <b>only</b> on Mondays").status_code == 303
    with app.app_context():
        receipt = db.session.get(Listing, waiting).receipt
    assert client.get(f"/api/v1/submissions/{receipt}").json["status"] == "rejected"
    assert "Kettles &lt;b&gt;only&lt;/b&gt; on Mondays" in client.get(f"/submissions/{receipt}").text
    assert client.get(f"/listings/{waiting}").status_code == 404


def test_a_published_listing_can_be_taken_down_and_put_back_in_its_place(
    client: FlaskClient, keeper: FlaskClient
) -> None:
    before = [item["id"] for item in client.get("/api/v1/listings?limit=100").json["items"]]
    assert decide(keeper, 5, "reject", reason="Sold").status_code == 303
    assert client.get("/listings/5").status_code == 404
    assert decide(keeper, 5, "publish").status_code == 303
    assert [item["id"] for item in client.get("/api/v1/listings?limit=100").json["items"]] == before
    trail = keeper.get("/moderation/listings/5").text
    assert "took down" in trail
    assert "Sold" in trail


def test_edits_are_saved_and_recorded(client: FlaskClient, keeper: FlaskClient, waiting: int) -> None:
    assert decide(keeper, waiting, "save", title="Kettle", price="$1,012.5", category="free").status_code == 303
    decide(keeper, waiting, "publish")
    shown = client.get(f"/api/v1/listings/{waiting}").json
    assert (shown["title"], shown["price_cents"], shown["category"]["slug"]) == ("Kettle", 101250, "free")
    assert "title, category, price_cents" in keeper.get("/moderation/audit").text.replace(
        "title, price_cents, category", "title, category, price_cents"
    )


@pytest.mark.parametrize("price", ["1012.50", "$1,012.5", "1 012.50 $", "$ 1\u202f012.50"])
def test_common_formats_of_a_price_are_accepted(
    client: FlaskClient, keeper: FlaskClient, waiting: int, price: str
) -> None:
    assert decide(keeper, waiting, "publish", price=price).status_code == 303
    assert client.get(f"/api/v1/listings/{waiting}").json["price_cents"] == 101250


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("title", "", "must not be empty"),
        ("title", "x" * 121, "at most 120"),
        ("price", "a lot", "amount of dollars"),
        ("price", "1.005", "amount of dollars"),
        ("price", "-1", "amount of dollars"),
        ("price", "99999999", "from 0 to"),
        ("price", "1e99", "amount of dollars"),
        ("price", "1e999999", "amount of dollars"),
        ("price", "NaN", "amount of dollars"),
        ("category", "nothing", "slug of a category"),
        ("contact_email", "kettle", "e-mail address"),
    ],
)
def test_an_invalid_edit_is_reported_and_changes_nothing(
    client: FlaskClient, keeper: FlaskClient, waiting: int, field: str, value: str, said: str
) -> None:
    answer = decide(keeper, waiting, "publish", **{field: value, "place": "Elsewhere"})
    assert answer.status_code == 422
    assert said in answer.text
    assert 'value="Elsewhere"' in answer.text
    assert client.get(f"/listings/{waiting}").status_code == 404
    assert "Elsewhere" not in keeper.get(f"/moderation/listings/{waiting}").text


def test_the_second_of_two_decisions_sees_the_first(
    app: Flask, client: FlaskClient, keeper: FlaskClient, waiting: int
) -> None:
    state = re.search('name="state" value="([^"]+)"', keeper.get(f"/moderation/listings/{waiting}").text)[1]  # type: ignore[index]
    run(app, "moderator", "add", "second", "--password-stdin", input=f"{PASSWORD}\n")
    second = app.test_client()
    assert log_in(second, "second").status_code == 303
    assert decide(second, waiting, "reject", reason="Sold already.").status_code == 303
    answer = decide(keeper, waiting, "publish", title="My own words", state=state)
    assert answer.status_code == 409
    for text in ("somebody else", "second refused", "Sold already.", "My own words"):
        assert text in answer.text
    assert client.get(f"/api/v1/listings/{waiting}").status_code == 404
    # After seeing it, another decision is possible.
    assert decide(keeper, waiting, "publish").status_code == 303
    assert client.get(f"/api/v1/listings/{waiting}").status_code == 200


def test_one_of_two_simultaneous_decisions_is_refused(
    app: Flask, client: FlaskClient, keeper: FlaskClient, submission: dict[str, Any]
) -> None:
    second = app.test_client()
    assert log_in(second).status_code == 303
    for number in range(5):
        listing = send(app, client, submission | {"title": f"Kettle {number}"})
        forms = [form_of(each, listing) for each in (keeper, second)]
        path = f"/moderation/listings/{listing}"
        with ThreadPoolExecutor(2) as pool:
            published = pool.submit(keeper.post, path, data=forms[0] | {"action": "publish"})
            refused = pool.submit(second.post, path, data=forms[1] | {"action": "reject", "reason": "Sold."})
        assert sorted([published.result().status_code, refused.result().status_code]) == [303, 409]
        shown = client.get(f"/api/v1/listings/{listing}").status_code == 200
        assert shown == (published.result().status_code == 303)


def test_an_unknown_action_is_refused(keeper: FlaskClient, waiting: int) -> None:
    assert decide(keeper, waiting, "explode").status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/moderation/?status=lost",
        "/moderation/?page=0",
        "/moderation/?page=x",
        "/moderation/listings/99999",
        "/moderation/audit?page=%D9%A3",
    ],
)
def test_a_missing_object_is_a_404_page(keeper: FlaskClient, path: str) -> None:
    assert keeper.get(path).status_code == 404


def test_pending_photos_are_for_moderators_and_can_be_removed(
    app: Flask, client: FlaskClient, keeper: FlaskClient, submission: dict[str, Any], picture: Picture
) -> None:
    sent = [client.post("/api/v1/photos", data=picture(400 + n, 300), content_type="image/jpeg").json for n in range(2)]
    names = [photo["id"] for photo in sent]
    receipt = client.post("/api/v1/submissions", json=submission | {"photos": names}).json["receipt"]
    with app.app_context():
        number = db.session.scalar(select(Listing.id).where(Listing.receipt == receipt)) or 0
    url = sent[0]["sizes"][0]["url"]
    assert client.get(url).status_code == 404
    seen = keeper.get(url)
    assert (seen.status_code, seen.headers["Cache-Control"]) == (200, "private, no-store")
    decide(keeper, number, "publish", remove_photo=names[0])
    assert client.get(url).status_code == 404
    assert client.get(sent[1]["sizes"][0]["url"]).status_code == 200


def test_messages_are_read_and_removed(client: FlaskClient, keeper: FlaskClient, count: Callable[[str], int]) -> None:
    message = {"name": "A <i>", "email": "a@example.org", "body": "b"}
    client.post("/api/v1/messages", json=message)
    page = keeper.get("/moderation/messages").text
    assert "A &lt;i&gt;" in page
    path = re.search('action="(/moderation/messages/[0-9]+/delete)"', page)[1]  # type: ignore[index]
    for _ in range(2):
        assert keeper.post(path, data={"csrf_token": token(keeper, "/moderation/audit")}).status_code == 303
    assert count("message") == 0
    # A deleted message can be sent again.
    client.post("/api/v1/messages", json=message)
    assert count("message") == 1


def test_enter_in_a_field_saves(keeper: FlaskClient, waiting: int) -> None:
    page = keeper.get(f"/moderation/listings/{waiting}").text
    assert re.findall('name="action" value="([a-z]+)"', page) == ["save", "publish", "reject"]


def test_the_forms_of_moderators_have_the_limits_of_the_tables(
    client: FlaskClient, keeper: FlaskClient, waiting: int
) -> None:
    limits = {
        "title": models.TITLE,
        "description": models.DESCRIPTION,
        "place": models.PLACE,
        "price": 14,
        "contact_email": models.EMAIL,
        "reason": models.REASON,
    }
    assert most(keeper.get(f"/moderation/listings/{waiting}").text) == limits
    assert most(client.get(LOGIN).text) == {"name": models.MODERATOR, "password": moderators.LONGEST_PASSWORD}


def test_long_lists_have_pages(app: Flask, keeper: FlaskClient) -> None:
    run(app, "seed", "--listings", "120")
    seen, path = [], "/moderation/?status=published"
    while path:
        page = keeper.get(path).text
        seen += re.findall('href="/moderation/listings/([0-9]+)"', page)
        following = re.search('<a class="button quiet" href="([^"]+)"', page)
        path = following[1].replace("&amp;", "&") if following else ""
    assert len(seen) == len(set(seen)) == 136


def test_the_pages_are_not_cached(keeper: FlaskClient) -> None:
    for path in PAGES:
        answer = keeper.get(path)
        assert (answer.status_code, answer.headers["Cache-Control"]) == (200, "no-store")


def test_moderators_see_the_dependencies_and_others_do_not(client: FlaskClient, keeper: FlaskClient) -> None:
    needs = keeper.get("/readyz").json["needs"]
    assert set(needs) == {"database", "media"}
    assert all(need["ok"] and need["ms"] >= 0 for need in needs.values())
    assert client.get("/readyz").json == {"status": "ok"}


def test_moderators_are_managed_on_the_command_line(
    app: Flask, keeper: FlaskClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run(app, "moderator", "list") == f"{NAME}\n"
    monkeypatch.setattr(moderators, "generate_password_hash", generate_password_hash)
    assert "new password" in run(app, "moderator", "add", NAME, "--password-stdin", input="another password\n")
    with app.app_context():
        stored = db.session.scalars(select(Moderator)).one().password_hash
    assert stored.startswith("scrypt:32768:8:1$")
    assert "another password" not in stored
    assert keeper.get("/moderation/").status_code == 303
    stranger = app.test_client()
    assert log_in(stranger, password="another password").status_code == 303
    assert "Removed" in run(app, "moderator", "remove", NAME)
    assert stranger.get("/moderation/").status_code == 303


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("add", "a", "--password-stdin"), "12 to 200 characters"),
        (("add", "x" * 41, "--password-stdin"), "1 to 40"),
        (("add", " a", "--password-stdin"), "without blanks"),
        (("remove", "nobody"), "no moderator nobody"),
    ],
)
def test_an_invalid_command_shows_what_is_allowed(app: Flask, arguments: tuple[str, ...], said: str) -> None:
    result = app.test_cli_runner().invoke(args=["moderator", *arguments], input="short\n")
    assert result.exit_code == 2
    assert said in result.output
