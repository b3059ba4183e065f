"""The site in a real browser: search, submit a listing with photos, moderate it, send a message."""

import io
import random
import re
import secrets
from collections.abc import Iterator
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, BrowserContext, Page, Route, expect

from lab import aws, network, operations
from lab.browser import add_moderator, chromium, install
from lab.layout import PRIVATE, REPOSITORY

CLIENT = REPOSITORY / "app/client"
PAGES = ("index", "listings", "submit", "contact", "resources")
WIDTHS = {"phone": 390, "wide": 1440}
NAME, PASSWORD = "keeper", secrets.token_hex(12)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium, which resolves the site's name to the lab's first host."""
    install()
    site = operations.visitor()
    with chromium(site.domain, site.address) as found:
        yield found


@pytest.fixture(scope="module", autouse=True)
def moderator() -> None:
    """A moderator, created as an operator does: on the host, as the app."""
    add_moderator(NAME, PASSWORD)


def violations(page: Page) -> list[str]:
    """Return axe-core's violations on the page."""
    found = Axe().run(page).response["violations"]
    return [f"{entry['id']} ({entry['impact']}): {entry['nodes'][0]['html'][:200]}" for entry in found]


def listen(page: Page) -> list[str]:
    """Return a list that collects the errors of the page's console."""
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type in ("error", "warning") else None)
    return errors


def visit(browser: Browser, **options: Any) -> BrowserContext:
    """A browser context; it accepts the lab's certificates, which other tests verify."""
    base = f"https://{operations.visitor().domain}"
    context = browser.new_context(base_url=base, ignore_https_errors=True, **options)
    context.set_default_timeout(15_000)
    return context


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    """A browser context with a wide screen."""
    found = visit(browser, viewport={"width": 1280, "height": 900})
    yield found
    found.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A tab without console errors."""
    tab = context.new_page()
    errors = listen(tab)
    yield tab
    assert errors == []


def log_in(page: Page) -> None:
    page.goto("/moderation/")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    expect(page.get_by_role("heading", name="Moderation", level=1)).to_be_visible()


def picture(seed: int, width: int = 2400, height: int = 1800) -> bytes:
    """A unique photo file with GPS coordinates and a camera model in its metadata."""
    small = Image.frombytes("RGB", (24, 18), random.Random(f"{seed} {secrets.token_hex()}").randbytes(24 * 18 * 3))
    exif = Image.Exif()
    exif[0x010F] = "Maker-secret"
    file = io.BytesIO()
    small.resize((width, height)).save(file, "JPEG", exif=exif)
    return file.getvalue()


def fill(page: Page, title: str) -> None:
    """Fill in the form of a listing."""
    page.goto("/submit.html")
    page.get_by_label("Title").fill(title)
    page.get_by_label("Category").select_option("boats-and-gear")
    page.get_by_label("Description").fill("Sound and dry.\nSleeps nobody.")
    page.get_by_label("Place").fill("Brigus")
    page.get_by_label("Price in dollars").fill("1 250.50 $")
    page.get_by_label("Your e-mail").fill("dory@example.org")


def test_a_change_of_this_machines_network_aborts_no_request(page: Page) -> None:
    """Another lab that starts or stops meanwhile would."""
    page.goto("/listings.html")
    address = PRIVATE[250 * 256 + 2]
    for _ in range(10):
        network.add_address(address)
        statuses = page.evaluate(
            "Promise.all([...Array(20)].map(() => fetch('/api/v1/listings').then((response) => response.status)))"
        )
        network.remove_address(address)
        assert statuses == [200] * 20


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_every_page_is_accessible_and_does_not_scroll_horizontally(browser: Browser, width: str, scheme: Any) -> None:
    context = visit(browser, viewport={"width": WIDTHS[width], "height": 900}, color_scheme=scheme)
    page = context.new_page()
    errors = listen(page)
    log_in(page)
    public = [f"/{name}.html" for name in PAGES] + ["/listings/16", "/listings.html?q=nothing-like-it"]
    for path in [*public, "/moderation/", "/moderation/listings/16", "/moderation/messages", "/moderation/audit"]:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        assert violations(page) == [], path
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    assert errors == []
    page.context.clear_cookies()
    for path in ("/moderation/login", "/nothing-here"):
        page.goto(path)
        assert violations(page) == [], path
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(15, 27, 34)"
    assert dark == (scheme == "dark")
    context.close()


def test_the_url_has_the_state_of_a_search(page: Page) -> None:
    page.goto("/index.html")
    page.get_by_label("Search the listings").fill("oak punt")
    page.get_by_role("button", name="Search").click()
    cards = page.locator("#listings .card")
    expect(cards).to_have_count(1)
    expect(page.get_by_role("heading", name="Eighteen-foot punt")).to_be_visible()
    assert page.url.endswith("/listings.html?q=oak+punt")

    page.get_by_role("button", name=re.compile("Remove the filter")).click()
    expect(cards).not_to_have_count(1)
    page.get_by_label("Category").select_option("jobs")
    page.get_by_label("Order").select_option("cheapest")
    expect(page.locator("#listings .chip").first).to_have_text("Jobs")
    assert "category=jobs" in page.url
    assert "sort=cheapest" in page.url
    page.go_back()
    page.go_back()
    page.go_back()
    expect(cards).to_have_count(1)
    expect(page.get_by_label("Words")).to_have_value("oak punt")
    page.go_forward()
    expect(page.get_by_label("Words")).to_have_value("")
    expect(cards).not_to_have_count(1)

    page.get_by_label("Price from").fill("50")
    page.get_by_label("Price to").fill("20")
    expect(page.locator("#max_price-error")).to_have_text("This is less than the lowest price.")
    page.get_by_label("Price to").fill("900")
    page.get_by_label("Words").fill("house")
    page.get_by_role("button", name="Search").click()
    expect(page.get_by_role("heading", name="Saltbox house")).to_be_visible()


def test_a_listing_with_two_photos_is_submitted_moderated_and_published(context: BrowserContext, page: Page) -> None:
    title = f"Dory {secrets.token_hex(4)} 🛶"
    fill(page, title)
    files = [{"name": f"{n}.jpg", "mimeType": "image/jpeg", "buffer": picture(n)} for n in range(2)]
    page.get_by_label("Choose photos").set_input_files(files)
    expect(page.locator("#photo-list li")).to_have_count(2)
    expect(page.locator("#photo-list progress")).to_have_count(0)
    expect(page.locator("#preview h3")).to_have_text(title)
    expect(page.locator("#preview .price")).to_have_text("$1,250.50")
    page.get_by_role("button", name="Send the listing").dblclick()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    page.get_by_role("link", name="see how it fares").click()
    expect(page.locator("[aria-current=step]")).to_contain_text("Somebody reads it")
    receipt = page.url

    tab = context.new_page()
    errors = listen(tab)
    log_in(tab)
    # The oldest are listed first, so it is on the last page.
    while tab.get_by_role("link", name=title).count() == 0:
        tab.get_by_role("link", name="Next page").click()
    assert tab.get_by_role("link", name=title).count() == 1
    tab.get_by_role("link", name=title).click()
    expect(tab.locator(".photo-choice img")).to_have_count(2)
    tab.get_by_role("button", name="Publish").click()
    tab.goto("/moderation/audit")
    expect(tab.locator("tbody tr").first).to_contain_text("published")
    assert errors == []

    page.goto(receipt)
    page.get_by_role("link", name="see your listing").click()
    expect(page.get_by_role("heading", name=title)).to_be_visible()
    shown = page.locator(".gallery img")
    expect(shown).to_have_count(2)
    for image in shown.all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 0
    address = shown.first.get_attribute("src") or ""
    response = operations.visitor().get(address)
    assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
    assert b"Maker-secret" not in response.body
    keys = bucket_keys()
    print(f"{title}: {page.url}; the bucket has {len(keys)} objects, such as {keys[0]}")
    assert not [key for key in keys if address.split("/")[-1].split("-")[0] in key]
    page.goto("/index.html")
    expect(page.locator("#latest h3").first).to_have_text(title)


def bucket_keys() -> list[str]:
    """The keys of all photos in the media bucket."""
    s3 = aws.client("s3")
    bucket = next(b["Name"] for b in s3.list_buckets()["Buckets"] if "-media-" in b["Name"])
    return [entry["Key"] for entry in s3.list_objects_v2(Bucket=bucket, Prefix="photos/")["Contents"]]


def test_a_form_shows_validation_errors_during_input(page: Page) -> None:
    page.goto("/submit.html")
    page.get_by_role("button", name="Send the listing").click()
    expect(page.locator("#title-error")).to_have_text("Please fill this in.")
    expect(page.get_by_label("Title")).to_be_focused()
    page.get_by_label("Title").fill("Kettle")
    expect(page.locator("#title-error")).to_be_hidden()
    page.get_by_label("Your e-mail").fill("kettle")
    page.get_by_label("Place").click()
    expect(page.locator("#contact_email-error")).to_contain_text("name@example.org")
    page.get_by_label("Choose photos").set_input_files(
        {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"}
    )
    expect(page.locator("#photos-error")).to_contain_text("a.zip is no JPEG, PNG or WebP picture.")
    page.reload()
    expect(page.get_by_label("Title")).to_have_value("Kettle")


def test_a_zip_with_the_name_of_a_photo_is_rejected(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/submit.html")
    page.get_by_label("Choose photos").set_input_files(
        {"name": "a.jpg", "mimeType": "image/jpeg", "buffer": b"PK\3\4" * 99}
    )
    expect(page.locator("#photo-list .error")).to_contain_text("JPEG, PNG or WebP")
    page.get_by_role("button", name="Remove a.jpg").click()
    expect(page.locator("#photo-list li")).to_have_count(0)


def test_photos_of_a_form_that_was_open_for_a_day_are_uploaded_again(page: Page) -> None:
    sent = []
    page.on("request", lambda request: request.method == "POST" and sent.append(request.url.rsplit("/", 1)[1]))
    page.clock.install()
    fill(page, f"Sled {secrets.token_hex(4)}")
    page.get_by_label("Choose photos").set_input_files(
        {"name": "sled.jpg", "mimeType": "image/jpeg", "buffer": picture(9)}
    )
    expect(page.locator("#photo-list progress")).to_have_count(0)
    page.clock.fast_forward("23:30:00")
    page.get_by_role("button", name="Send the listing").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    assert sent == ["photos", "photos", "submissions"]


def photo(name: str, kind: str = "image/jpeg", content: bytes | None = None) -> Any:
    """A file to choose."""
    return {"name": name, "mimeType": kind, "buffer": content or picture(len(name), 400, 300)}


def test_a_photo_that_is_removed_during_its_upload_blocks_nothing(page: Page) -> None:
    fill(page, f"Anchor {secrets.token_hex(4)}")
    held: list[Route] = []
    page.route("**/api/v1/photos", lambda route: route.continue_() if held else held.append(route))
    page.get_by_label("Choose photos").set_input_files([photo("first.jpg"), photo("second.jpg")])
    expect(page.locator("#photo-list progress")).to_have_count(2)
    page.get_by_role("button", name="Remove first.jpg").click()
    expect(page.locator("#photo-list progress")).to_have_count(0)
    page.get_by_role("button", name="Send the listing").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    receipt = page.get_by_label("Address of your listing").input_value()
    assert receipt.startswith(f"https://{operations.visitor().domain}/submissions/")


def test_photos_are_reordered_by_keyboard(page: Page) -> None:
    page.goto("/submit.html")
    page.get_by_label("Choose photos").set_input_files([photo(f"{n}.jpg") for n in range(1, 4)])
    expect(page.locator("#photo-list progress")).to_have_count(0)
    later = page.get_by_role("button", name="Move 1.jpg later")
    later.focus()
    for place in (2, 3):
        page.keyboard.press("Enter")
        expect(page.locator("#photos-status")).to_have_text(f"1.jpg is photo {place} of 3.")
    expect(page.get_by_role("button", name="Move 1.jpg earlier")).to_be_focused()
    names = [button.get_attribute("aria-label") for button in page.get_by_role("button", name="Remove").all()]
    assert names == ["Remove 2.jpg", "Remove 3.jpg", "Remove 1.jpg"]


def test_every_file_that_is_not_a_photo_is_reported(page: Page) -> None:
    page.goto("/submit.html")
    files = [photo("a.txt", "text/plain"), photo("b.jpg", content=bytes(10_000_001)), photo("c.jpg")]
    page.get_by_label("Choose photos").set_input_files(files)
    expect(page.locator("#photos-error")).to_have_text(
        "a.txt is no JPEG, PNG or WebP picture. b.jpg is larger than 10 MB."
    )
    expect(page.locator("#photo-list li")).to_have_count(1)


def test_the_skip_link_does_not_change_the_filters(page: Page) -> None:
    page.goto("/listings.html")
    expect(page.locator("#listings .card").first).to_be_visible()
    page.get_by_label("Words").fill("punt")
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.get_by_role("link", name="Skip to the content").focus()
    page.keyboard.press("Enter")
    expect(page.locator("main")).to_be_focused()
    expect(page.get_by_label("Words")).to_have_value("punt")
    assert requested == []


def test_a_failed_search_shows_only_its_error(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/listings.html?q=nothing-like-it")
    expect(page.locator("#nothing")).to_be_visible()
    page.route("**/api/v1/listings?*", lambda route: route.abort())
    page.get_by_label("Words").fill("punt")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#listings-status")).to_contain_text("can't be reached")
    expect(page.locator("#nothing")).to_be_hidden()
    expect(page.locator("#listings li")).to_have_count(0)
    page.unroute("**/api/v1/listings?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("#listings .card")).to_have_count(1)
    expect(page.locator("#listings-status")).to_be_focused()


def test_a_partly_invalid_url_applies_the_valid_filters(page: Page) -> None:
    page.goto("/listings.html?q=punt&category=nope&min_price=abc&sort=toString")
    expect(page.locator("#listings .card")).to_have_count(1)
    assert [chip.inner_text() for chip in page.locator("#active li").all()] == ["“punt”"]


def test_an_invalid_cursor_shows_the_first_page(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/listings.html?q=punt&cursor=nonsense")
    expect(page.locator("#listings .card")).to_have_count(1)
    assert page.url.endswith("/listings.html?q=punt")


def test_a_search_on_a_phone_scrolls_to_its_results(browser: Browser) -> None:
    context = visit(browser, viewport={"width": 390, "height": 844})
    page = context.new_page()
    page.goto("/listings.html")
    page.get_by_text("Search and filter").click()
    page.get_by_label("Words").fill("punt")
    page.get_by_role("button", name="Search").click()
    expect(page.locator("#listings .card")).to_have_count(1)
    expect(page.locator("#listings-status")).to_be_in_viewport()
    context.close()


@pytest.mark.parametrize("width", [320, 375, 840, 1056])
def test_no_elements_overlap_at_any_width(browser: Browser, width: int) -> None:
    context = visit(browser, viewport={"width": width, "height": 900})
    page = context.new_page()
    for path in [*(f"/{name}.html" for name in PAGES), "/listings/16"]:
        page.goto(path)
        page.wait_for_load_state("networkidle")
        for link in page.locator(".site-header a").all():
            # Each side must receive the click itself.
            box = link.bounding_box() or {}
            for x in (3, box["width"] - 3):
                link.click(trial=True, position={"x": x, "y": box["height"] / 2})
        # Texts of maximum length without a space.
        page.evaluate(
            "document.querySelectorAll('article :is(dd, h1, h3, span)').forEach((each) => { each.textContent = 'W'.repeat(80); })"
        )
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path
    context.close()


def test_enter_in_a_field_of_a_waiting_listing_does_not_publish_it(page: Page) -> None:
    title = f"Oar {secrets.token_hex(4)}"
    fill(page, title)
    page.get_by_role("button", name="Send the listing").click()
    expect(page.get_by_role("heading", name="Thank you")).to_be_visible()
    log_in(page)
    while page.get_by_role("link", name=title).count() == 0:
        page.get_by_role("link", name="Next page").click()
    page.get_by_role("link", name=title).click()
    page.get_by_label("Place").press("Enter")
    expect(page.get_by_role("status")).to_have_text("The changes are saved.")
    expect(page.locator(".lead")).to_contain_text("Waiting since")


def test_a_message_that_failed_is_retained_and_can_be_sent_again(context: BrowserContext) -> None:
    page = context.new_page()
    page.goto("/contact.html")
    page.get_by_label("Your name").fill("A visitor")
    page.get_by_label("Your e-mail").fill("visitor@example.org")
    page.get_by_label("Your message").fill(f"Hello {secrets.token_hex(4)}")
    unavailable = {
        "status": 503,
        "headers": {"Retry-After": "1"},
        "content_type": "application/problem+json",
        "body": "{}",
    }
    page.route("**/api/v1/messages", lambda route: route.fulfill(**unavailable))
    page.get_by_role("button", name="Send the message").click()
    expect(page.locator("#contact-form-note")).to_contain_text("nothing is lost")
    page.unroute("**/api/v1/messages")
    page.get_by_role("button", name="Send the message").click()
    expect(page.locator("#contact-form-note")).to_contain_text("Thank you")
    expect(page.get_by_label("Your message")).to_have_value("")


def test_everything_can_be_done_by_keyboard(page: Page) -> None:
    page.goto("/contact.html")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    for text in ("Keyboard", "keys@example.org", f"No mouse {secrets.token_hex(4)}"):
        page.keyboard.type(text)
        page.keyboard.press("Tab")
    expect(page.get_by_role("button", name="Send the message")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#contact-form-note")).to_contain_text("Thank you")
    expect(page.locator("#contact-form-note")).to_be_focused()


@pytest.mark.parametrize("name", PAGES)
def test_each_page_opens_from_disk_with_no_network(browser: Browser, name: str) -> None:
    context = browser.new_context(viewport={"width": 1280, "height": 900}, offline=True)
    page = context.new_page()
    errors = listen(page)
    requested: list[str] = []
    page.on("request", lambda request: requested.append(request.url))
    page.goto((CLIENT / f"{name}.html").as_uri())
    expect(page.get_by_role("note")).to_contain_text("opened this page from disk")
    if name == "index":
        expect(page.locator("#latest .card")).to_have_count(6)
        expect(page.locator("#categories .tile")).to_have_count(8)
    elif name == "listings":
        page.get_by_label("Words").fill("saltbox")
        page.get_by_role("button", name="Search").click()
        page.get_by_role("button", name="Saltbox house").click()
        expect(page.get_by_role("dialog")).to_contain_text("Trinity")
    elif name == "resources":
        expect(page.get_by_role("link", name="Marine Atlantic")).to_be_visible()
    elif name == "contact":
        page.get_by_label("Your name").fill("A")
        page.get_by_label("Your e-mail").fill("a@example.org")
        page.get_by_label("Your message").fill("b")
        page.get_by_role("button", name="Send the message").click()
        expect(page.locator("#contact-form-note")).to_contain_text("needs the server")
    else:
        expect(page.get_by_label("Category").locator("option")).to_have_count(9)
    assert errors == []
    assert {address.split(":")[0] for address in requested} == {"file"}
    assert violations(page) == []
    context.close()


def test_each_page_is_small(page: Page) -> None:
    for name in PAGES:
        sizes: dict[str, int] = {}
        page.on("response", lambda response, sizes=sizes: sizes.update({response.url: len(response.body())}))
        page.goto(f"/{name}.html")
        page.wait_for_load_state("networkidle")
        weight = sum(size for url, size in sizes.items() if not re.search(r"\.(jpg|webp)$|/api/", url))
        assert 0 < weight < 100_000, (name, weight)
