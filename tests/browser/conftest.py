"""A headless Chromium, and the report of the small run, unpacked as a reader would."""

import os
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Route, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")


# Closed after its file: while it is open, an event loop is, which others in this process may need.
@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    """Debian's Chromium; in CI it has to be there. None is ever downloaded."""
    if not CHROMIUM.exists():
        message = f"{CHROMIUM} is not there; apt-get install chromium"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    arguments = ["--no-sandbox"] if os.geteuid() == 0 else []
    with sync_playwright() as play:
        browser = play.chromium.launch(executable_path=CHROMIUM, args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def site(finished, tmp_path_factory) -> Path:
    """The folder ``report`` of the unpacked results/report.zip."""
    folder = tmp_path_factory.mktemp("unpacked")
    with zipfile.ZipFile(finished.folder / "results/report.zip") as archive:
        archive.extractall(folder)
    return folder / "report"


@dataclass
class Reader:
    """One who opens pages without a network, and what went wrong meanwhile."""

    page: Page
    wrong: list[str] = field(default_factory=list)

    def open(self, path: Path) -> Page:
        """Open a page and wait for all of its images."""
        self.page.goto(path.as_uri())
        self.load_images()
        return self.page

    def load_images(self) -> None:
        self.page.evaluate("for (const image of document.images) image.loading = 'eager'")
        self.page.wait_for_function("[...document.images].every((image) => image.complete)")


@pytest.fixture
def reader(chromium: Browser) -> Iterator[Callable[..., Reader]]:
    """Makes readers, by the options of a browser's context; nothing may go wrong with any."""
    made: list[Reader] = []

    def make(**options: object) -> Reader:
        context = chromium.new_context(**{"viewport": {"width": 1280, "height": 900}, **options})
        one = Reader(context.new_page())

        def offline(route: Route) -> None:
            one.wrong.append(f"asks the network: {route.request.url}")
            route.abort()

        context.route(lambda url: not url.startswith(("file:", "data:")), offline)
        one.page.on("console", lambda message: one.wrong.append(f"says: {message.text}"))
        one.page.on("pageerror", lambda error: one.wrong.append(f"fails: {error}"))
        one.page.on("requestfailed", lambda asked: one.wrong.append(f"lacks: {asked.url}"))
        made.append(one)
        return one

    yield make
    for one in made:
        one.page.context.close()
        assert not one.wrong, one.wrong
