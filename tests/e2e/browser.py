"""A Chromium that is logged in to Label Studio, and takes pictures."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser as Chromium
from playwright.sync_api import Error, Page, Playwright, sync_playwright

from tests.e2e.label_studio import LabelStudioServer

_NAMES = ("chromium", "chromium-browser", "google-chrome")
_OPTIONS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
_MILLISECONDS = 60_000
_WIDTH, _HEIGHT = 1280, 560


class Browser:
    """One window, in which Label Studio and our admin are opened one after the other."""

    def __init__(self, page: Page, pictures: Path) -> None:
        self.page = page
        self._pictures = pictures

    def picture(self, name: str, height: int = _HEIGHT) -> None:
        """Take a picture of the window, from its top down to that height, with the pointer out of the way."""
        self.page.mouse.move(0, _HEIGHT - 1)
        self._pictures.mkdir(parents=True, exist_ok=True)
        self.page.screenshot(
            path=self._pictures / f"{name}.png",
            animations="disabled",
            clip={"x": 0, "y": 0, "width": _WIDTH, "height": height},
        )


@contextmanager
def open_browser(label_studio: LabelStudioServer, pictures: Path) -> Iterator[Browser]:
    """Open the window; skip where this machine has no Chromium."""
    with sync_playwright() as playwright:
        chromium = _launch(playwright)
        try:
            context = chromium.new_context(viewport={"width": _WIDTH, "height": _HEIGHT})
            context.set_default_timeout(_MILLISECONDS)
            cookies = label_studio.session.cookies.items()
            context.add_cookies([{"name": name, "value": value, "url": label_studio.url} for name, value in cookies])
            yield Browser(context.new_page(), pictures)
        finally:
            chromium.close()


def _launch(playwright: Playwright) -> Chromium:
    program = os.environ.get("E2E_CHROMIUM") or next(filter(None, map(shutil.which, _NAMES)), None)
    try:
        return playwright.chromium.launch(executable_path=program, args=list(_OPTIONS))
    except Error as exc:
        if program:
            raise
        pytest.skip(
            "There is no Chromium: apt-get install chromium, or playwright install chromium, "
            f"or name one in E2E_CHROMIUM. ({exc.message.splitlines()[0]})"
        )
