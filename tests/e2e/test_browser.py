"""What annotators and operators see."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from tests.e2e.browser import Browser, open_browser
from tests.e2e.connected import ConnectedProject
from tests.e2e.label_studio import LabelStudioServer
from tests.e2e.server import PROJECT, MLServer
from tests.e2e.test_interactive import PERSONS

pytestmark = pytest.mark.newest("the labelling page of Label Studio 1.9 is another one")

TEXT = "Anna met Ben in Rome. Later Anna left Rome without Ben, and Ben wrote to Anna."


@pytest.fixture(scope="module")
def browser(label_studio: LabelStudioServer) -> Iterator[Browser]:
    pictures = Path(os.environ.get("E2E_PICTURES") or PROJECT / "artifacts" / "e2e")
    with open_browser(label_studio, pictures) as browser:
        expect.set_options(timeout=60_000)
        yield browser


@pytest.fixture(scope="module")
def reviews(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "Restaurant reviews")
    good, bad, *_ = project.import_texts()
    project.connect(server)
    project.annotate(good, "Positive")
    project.annotate(bad, "Negative")
    project.settle()
    project.retrieve_predictions()
    return project


@pytest.fixture(scope="module")
def letters(label_studio: LabelStudioServer, server: MLServer) -> ConnectedProject:
    project = ConnectedProject(label_studio, "Names in letters", PERSONS)
    project.import_texts([TEXT])
    project.connect(server, "occurrences", "/occurrences", is_interactive=True)
    return project


def test_the_labelling_page_shows_our_prediction(browser: Browser, reviews: ConnectedProject):
    page = browser.page
    page.goto(f"{reviews.label_studio.url}/projects/{reviews.id}/data?task={reviews.task_ids()[2]}")
    page.get_by_text(reviews.ours.live(), exact=True).click()
    expect(page.get_by_role("checkbox", name="Positive")).to_be_checked()
    browser.picture("prediction", height=324)


def test_a_suggestion_appears_after_a_region_is_drawn(browser: Browser, letters: ConnectedProject):
    page = browser.page
    page.goto(f"{letters.label_studio.url}/projects/{letters.id}/data?task={letters.task_ids()[0]}")
    page.get_by_text("Auto-Annotation").click()
    page.get_by_text("Person", exact=True).click()
    # The first word of the text: a double click selects it, which draws a region.
    page.locator(".lsf-richtext__line").dblclick(position={"x": 12, "y": 10})
    highlights = page.locator(".htx-highlight[data-label$=':Person']")
    expect(highlights).to_have_count(3)
    assert [highlight.text_content() for highlight in highlights.all()] == ["Anna", "Anna", "Anna"]
    browser.picture("suggestion")


def test_what_is_submitted_there_holds_what_we_suggested(browser: Browser, letters: ConnectedProject):
    browser.page.get_by_role("button", name="Submit").click()
    annotation = letters.event("ANNOTATION_CREATED")["payload"]["annotation"]
    assert sorted(region["value"]["start"] for region in annotation["result"]) == [0, 28, 73]


def test_our_admin_shows_the_event(browser: Browser, server: MLServer, letters: ConnectedProject):
    page, admin = browser.page, server.admin()
    page.goto(f"{server.url}/admin/registry/event/")
    page.get_by_label("Username").fill(admin.user)
    page.get_by_label("Password").fill(admin.password)
    page.get_by_role("button", name="Log in").click()
    row = page.get_by_role("row").filter(has_text=f"Names in letters #{letters.id} (occurrences)").first
    expect(row).to_contain_text("ANNOTATION_CREATED")
    browser.picture("event")


def test_being_logged_in_to_our_admin_leaves_label_studio_logged_in(browser: Browser, letters: ConnectedProject):
    browser.page.goto(f"{letters.label_studio.url}/projects/{letters.id}/data")
    assert "/login" not in browser.page.url
