"""`python -m lab.screenshots`: screenshots of the lab's site for docs/, narrow and wide, light and dark."""

import io
import secrets
import sys

from PIL import Image
from playwright.sync_api import Browser, Page

from lab import operations
from lab.browser import add_moderator, chromium, install
from lab.console import LabError
from lab.layout import REPOSITORY

DIRECTORY = REPOSITORY / "docs/screenshots"
PAGES = {
    "index": "/index.html",
    "listings": "/listings.html",
    "submit": "/submit.html",
    "contact": "/contact.html",
    "resources": "/resources.html",
    "listing": "/listings/16",
    "error": "/nothing-here",
}
MODERATION = {"queue": "/moderation/?status=published", "decision": "/moderation/listings/16"}
WIDTHS = (390, 1440)
SCHEMES = ("light", "dark")
# Pixels; longer pages are cropped.
MAX_HEIGHT = 2000
NAME = "keeper"


def main() -> int:
    """Take all screenshots of the running site; return the exit status."""
    try:
        if not operations.is_up():
            raise LabError("The lab is not up. Run: bin/lab up")
        install()
        password = secrets.token_hex(12)
        add_moderator(NAME, password)
        site = operations.visitor()
        DIRECTORY.mkdir(exist_ok=True)
        with chromium(site.domain, site.address) as browser:
            for width in WIDTHS:
                for scheme in SCHEMES:
                    take_all(browser, f"https://{site.domain}", width, scheme, password)
    except LabError as error:
        print(f"lab.screenshots: {error}", file=sys.stderr)
        return 1
    print(f"{len(list(DIRECTORY.glob('*.webp')))} screenshots are in {DIRECTORY.relative_to(REPOSITORY)}/.")
    return 0


def take_all(browser: Browser, base: str, width: int, scheme: str, password: str) -> None:
    """Take a screenshot of every page."""
    context = browser.new_context(
        base_url=base,
        ignore_https_errors=True,
        viewport={"width": width, "height": 900},
        color_scheme="dark" if scheme == "dark" else "light",
        reduced_motion="reduce",
    )
    page = context.new_page()
    for name, path in PAGES.items():
        take(page, path, f"{name}-{width}-{scheme}")
    page.goto("/moderation/")
    page.get_by_label("Name").fill(NAME)
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url("**/moderation/")
    for name, path in MODERATION.items():
        take(page, path, f"{name}-{width}-{scheme}")
    context.close()


def take(page: Page, path: str, name: str) -> None:
    """Take a screenshot of one page, with its lazy images loaded."""
    page.goto(path)
    page.evaluate("document.querySelectorAll('img').forEach((image) => { image.loading = 'eager'; })")
    page.wait_for_load_state("networkidle")
    image = Image.open(io.BytesIO(page.screenshot(full_page=True)))
    image.crop((0, 0, image.width, min(image.height, MAX_HEIGHT))).save(
        DIRECTORY / f"{name}.webp", quality=72, method=6
    )


if __name__ == "__main__":
    sys.exit(main())
