"""The pages in a real browser. Screenshots are kept in artifacts/."""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib.auth.models import User
from django.db import connections
from playwright.sync_api import Page, sync_playwright

from registry import training
from registry.models import Project, Promotion
from tests.factories import annotation_created, receive

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
SCREENSHOTS = Path(__file__).parent.parent / "artifacts"
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

pytestmark = [
    pytest.mark.django_db(transaction=True),
    # CI installs one, so there its absence is a failure; on a desk it is a choice.
    pytest.mark.skipif(CHROMIUM is None and not os.environ.get("CI"), reason="no Chromium on this machine"),
]


@pytest.fixture
def page(live_server, monkeypatch) -> Iterator[Page]:
    # Playwright runs an event loop in this thread, on which Django would refuse the database.
    monkeypatch.setenv("DJANGO_ALLOW_ASYNC_UNSAFE", "true")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = browser.new_page(base_url=live_server.url, viewport={"width": 1280, "height": 800})
        page.set_default_timeout(10_000)
        yield page
        browser.close()
        # Within Playwright's loop Django has connections of its own, which only can be closed here.
        connections.close_all()


@pytest.fixture
def trained(queue) -> Project:
    """A project that text_classifier has learnt from four annotations."""
    texts = [("good", "Positive"), ("bad", "Negative"), ("fine", "Positive"), ("poor", "Negative")]
    for number, (text, choice) in enumerate(texts, 1):
        receive("text_classifier", annotation_created(number, text, choice, token="ls-secret"))
        training.drain(Project.objects.get().pk)
    return Project.objects.get()


def log_in(page: Page) -> None:
    User.objects.create_superuser("ann", password="a password")
    page.goto("/admin/")
    page.fill("#id_username", "ann")
    page.fill("#id_password", "a password")
    page.click("text=Log in")


def screenshot(page: Page, name: str) -> None:
    SCREENSHOTS.mkdir(exist_ok=True)
    page.screenshot(path=SCREENSHOTS / f"{name}.png", full_page=True)


def test_a_person_who_opens_the_address_is_told_what_to_do_with_it(page, live_server):
    page.goto("/")
    screenshot(page, "index")
    assert page.locator(".address").inner_text() == live_server.url
    page.click("text=The admin")
    assert page.title().startswith("Log in")


def test_an_operator_rolls_back_to_an_earlier_version(page, trained):
    log_in(page)
    page.click("text=Model versions")
    screenshot(page, "versions")
    page.locator("tr", has=page.locator("th", has_text="0.1.0")).locator("input.action-select").check()
    page.select_option("select[name=action]", "make_live")
    page.click("button[name=index]")
    page.fill("textarea", "the newer one was trained on a mistake")
    screenshot(page, "make-live")
    page.click("text=Make 0.1.0 live")
    assert "0.1.0 is live" in page.locator(".messagelist").inner_text()
    assert Promotion.objects.latest("id").reason == "the newer one was trained on a mistake"
    page.goto("/admin/registry/promotion/")
    screenshot(page, "ledger")


def test_an_operator_promotes_from_a_versions_page_and_rolls_back(page, trained):
    log_in(page)
    page.goto("/admin/registry/modelversion/")
    page.click("#result_list th a >> text=0.1.0")
    screenshot(page, "version")
    page.click("text=Make live…")
    page.fill("textarea", "the newer one was trained on a mistake")
    page.click("text=Make 0.1.0 live")
    assert "0.1.0 is live" in page.locator(".messagelist").inner_text()
    assert "● live" in page.locator(".field-live").inner_text().replace("\xa0", " ")
    screenshot(page, "version-live")
    page.fill("#id_note", "Held for May.")
    page.click("text=Save and continue editing")
    assert "changed successfully" in page.locator(".messagelist").inner_text()
    page.click("text=Roll back…")
    page.fill("textarea", "the mistake is mended")
    screenshot(page, "roll-back")
    page.click("input[value^='Roll back to']")
    assert Promotion.objects.latest("id").rollback
    assert Project.objects.get().live == trained.live


def test_an_operator_reads_what_was_sent_and_what_became_of_it(page, trained):
    log_in(page)
    for name in ("project", "event", "trainingrun"):
        page.goto(f"/admin/registry/{name}/")
        screenshot(page, f"{name}s")
        page.locator("#result_list tbody a").first.click()
        screenshot(page, name)
    page.goto("/admin/registry/event/")
    page.locator("#result_list tbody a").first.click()
    text = page.locator("pre").inner_text()
    assert "ANNOTATION_CREATED" in text
    assert "ls-secret" not in text
