"""The list of data sets and its form, and the page of one: report, class balance, samples with filters."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from playwright.sync_api import Page, expect

from examples.worked import clips as worked_clips
from examples.worked import gestures, tickets
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi, toy_spec
from tests.unit.data.builders import clip_spec, clips, write_csv

ATTACK = "<img src=x onerror=\"document.title='broken in'\">"
EXAMPLES = Path(__file__).parents[2] / "examples"


def register(api: LiveApi, body: dict[str, Any]) -> str:
    response = api.client.post("/v1/datasets", json=body)
    assert response.status_code == 201, response.text
    made: str = response.json()["id"]
    return made


def example(api: LiveApi, name: str) -> str:
    """One of the examples' data sets, registered."""
    root = api.settings.data_roots["data"]
    if name == "digits":
        shutil.copytree(EXAMPLES / "digits", root / "digits")
    else:
        {"clips": worked_clips, "gestures": gestures, "tickets": tickets}[name].write(root)
    spec = yaml.safe_load((EXAMPLES / f"{name}.yaml").read_text())
    return register(api, {key: spec[key] for key in ("name", "dataset", "holdout", "seed") if key in spec})


def mixed(api: LiveApi) -> str:
    """Sounds and pictures of which some are missing or no pictures, copies in two parts, and names that mean harm."""
    folder = api.settings.data_roots["data"] / "mixed"
    rows = clips(folder)
    for row in (0, 5):
        rows[row]["sound"] = ""
    for row in (3, 4, 7, 10, 13):
        rows[row]["label"] = ATTACK
    rows[1]["id"] = ATTACK
    (folder / "4.png").write_text("no picture")
    write_csv(folder / "manifest.csv", rows)
    spec = clip_spec(
        source={"type": "manifest", "uri": "data://mixed/manifest.csv"},
        split={"method": "draw"},
        on_bad_sample={"action": "drop", "max_fraction": 0.5},
    )
    spec["modalities"][0]["missing"] = "mask"
    return register(api, {"name": ATTACK, "metadata": {"team": ATTACK}, "dataset": spec})


def loaded(page: Page) -> None:
    """Samples are there, and the pictures that can be seen."""
    expect(page.locator(".loading")).to_have_count(0)
    expect(page.locator(".sample").first).to_be_visible()


# the list and its form


def test_nothing_is_registered_until_somebody_does(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets")
    expect(page.get_by_text("No data set is registered yet")).to_be_visible()
    page.get_by_label("Spec, as JSON").fill(json.dumps({"job": toy_spec()}))
    page.get_by_role("textbox", name="Name").fill("toys of mine")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("It can be registered and trained on.")).to_be_visible()
    expect(page.get_by_role("region", name="Splits")).to_contain_text("train (T)")
    assert api.client.get("/v1/datasets").json()["data"] == []
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("heading", level=1, name="toys of mine")).to_be_visible()
    assert re.search(r"/datasets/ds_\w+$", page.url)
    page.get_by_role("link", name="Data sets").click()
    row = page.get_by_role("row", name="toys of mine")
    expect(row).to_contain_text("40")
    expect(row).to_contain_text("size: tabular")
    expect(row).to_contain_text("good")


def test_all_that_is_wrong_is_told_with_the_way_out(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets")
    spec = toy_spec()["dataset"] | {"target": {"column": "lable"}}
    page.get_by_label("Spec, as JSON").fill(json.dumps(spec))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_text("A job could not train on it as it is.")).to_be_visible()
    issue = page.locator(".issues li.bad")
    expect(issue).to_contain_text("column.missing")
    expect(issue).to_contain_text("#/dataset/target/column")
    expect(issue).to_contain_text("did you mean 'label'?")
    page.get_by_role("button", name="Register").click()
    expect(page.get_by_role("alert")).to_contain_text("did you mean 'label'?")
    page.get_by_label("Spec, as JSON").fill("dataset: {source: x}")
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("alert")).to_contain_text("gblend validate spec.yaml")


def test_a_guess_fills_the_form(api: LiveApi, page: Page) -> None:
    folder = api.settings.data_roots["data"] / "clips"
    write_csv(folder / "manifest.csv", clips(folder))
    page.goto(f"{api.url}/datasets")
    page.get_by_label("Guess the spec of what lies at").fill("data://clips/manifest.csv")
    page.get_by_role("button", name="Guess").click()
    expect(page.get_by_text("A guess from 24 rows; look it over.")).to_be_visible()
    expect(page.get_by_label("Spec, as JSON")).to_have_value(re.compile('"type": "audio"'))
    page.get_by_label("Guess the spec of what lies at").fill("data://nothing.csv")
    page.get_by_role("button", name="Guess").click()
    expect(page.get_by_role("alert")).to_contain_text("there is no")


# one data set


def test_what_was_found_and_what_it_holds(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets/{mixed(api)}")
    report = page.get_by_role("region", name="Validation")
    expect(report.locator("li.warn").first).to_contain_text("file.format")
    expect(report).to_contain_text("images must be PNG or JPEG")
    report.get_by_text("Examples").first.click()
    expect(report).to_contain_text("clip-04: not a PNG or JPEG")
    expect(page.get_by_role("region", name="Splits").get_by_role("row", name="holdout (V)")).to_contain_text("%")
    expect(page.get_by_role("region", name="Leaks")).to_contain_text("the same voice as")
    modalities = page.get_by_role("region", name="Modalities")
    expect(modalities).to_contain_text("2 rows lack it (8.3 %)")
    expect(modalities).to_contain_text("PNG: 23")


def test_samples_are_seen_and_heard(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets/{example(api, 'digits')}")
    loaded(page)
    first = page.get_by_role("article", name="Sample digit-0000")
    expect(first).to_contain_text("train (T)")
    for name in ("Spectrogram of audio of digit-0000", "image of digit-0000"):
        picture = first.get_by_role("img", name=name, exact=True)
        picture.scroll_into_view_if_needed()
        expect(picture).to_have_js_property("complete", True)
        assert picture.evaluate("image => image.naturalWidth") > 0
    sound = first.locator("audio")
    seconds = sound.evaluate(
        """audio => new Promise((resolve, reject) => {
            audio.onloadedmetadata = () => resolve(audio.duration);
            audio.onerror = () => reject(audio.error);
            audio.preload = "auto";
            audio.load();
        })"""
    )
    assert seconds == pytest.approx(0.6)


def test_filters_are_in_the_address_and_more_is_a_click_away(api: LiveApi, page: Page) -> None:
    dataset = example(api, "digits")
    page.goto(f"{api.url}/datasets/{dataset}")
    loaded(page)
    samples = page.locator(".sample")
    expect(samples).to_have_count(12)
    page.get_by_role("button", name="More samples").click()
    expect(samples).to_have_count(24)
    page.get_by_label("Part", exact=True).select_option("test")
    page.get_by_label("Class", exact=True).select_option("7")
    expect(page.get_by_text("56 rows, 12 shown")).to_be_visible()
    assert page.url.endswith("?part=test&class=7")
    expect(samples.filter(has_text="test")).to_have_count(12)
    page.reload()
    expect(page.get_by_text("56 rows, 12 shown")).to_be_visible()
    page.get_by_role("button", name="28 rows of 3 in holdout (V): show them").click()
    expect(page.get_by_text("28 rows, 12 shown")).to_be_visible()
    assert page.url.endswith("?part=holdout&class=3")
    page.goto(f"{api.url}/datasets/{dataset}?class=nothing")
    expect(page.get_by_role("alert")).to_contain_text("the data set has no class 'nothing'")


def test_series_vectors_texts_tables_and_videos(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets/{example(api, 'gestures')}")
    loaded(page)
    sample = page.locator(".sample").first
    expect(sample.get_by_role("img", name=re.compile("imu of 0: 48 steps, 3 channels"))).to_be_visible()
    expect(sample.locator("svg path")).to_have_count(3)
    expect(sample).to_contain_text("32 numbers")
    page.goto(f"{api.url}/datasets/{example(api, 'tickets')}")
    loaded(page)
    expect(page.locator(".sample").first.locator("blockquote")).to_have_text(re.compile(r"\w+ \w+"))
    expect(page.locator(".sample").first.locator("dl")).to_contain_text("product")
    page.goto(f"{api.url}/datasets/{example(api, 'clips')}")
    loaded(page)
    strip = page.get_by_role("img", name="Four frames of clip of c000")
    expect(strip).to_have_js_property("complete", True)
    assert strip.evaluate("image => image.naturalWidth") == 198


def test_what_is_missing_or_damaged_is_told_in_its_place(api: LiveApi, page: Page) -> None:
    dataset = mixed(api)
    folder = api.settings.data_roots["data"] / "mixed"
    whole = (folder / "6.png").read_bytes()
    (folder / "6.png").write_bytes(whole[:45])  # its header is good
    page.goto(f"{api.url}/datasets/{dataset}")
    loaded(page)
    expect(page.get_by_role("article", name="Sample clip-00")).to_contain_text("missing")
    broken = page.get_by_role("article", name="Sample clip-04")
    expect(broken).to_contain_text("no part")
    expect(broken).to_contain_text("not a PNG or JPEG")
    damaged = page.get_by_role("article", name="Sample clip-06")
    damaged.scroll_into_view_if_needed()
    expect(damaged).to_contain_text("cannot be used")
    expect(damaged).to_contain_text("file.")


def test_a_source_that_changed_is_told(api: LiveApi, page: Page) -> None:
    dataset = mixed(api)
    manifest = api.settings.data_roots["data"] / "mixed" / "manifest.csv"
    table = manifest.read_text()
    manifest.write_text(table.replace("clip-02", "clip-xx"))
    page.goto(f"{api.url}/datasets/{dataset}")
    expect(page.get_by_text("The source has changed since it was registered")).to_be_visible()
    expect(page.get_by_role("article", name="Sample clip-xx")).to_be_visible()
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("the data are others than were registered")).to_be_visible()
    manifest.write_text(table.replace("picture", "image"))
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("cannot be read any more as it was registered")
    page.get_by_role("button", name="Look again").click()
    expect(page.get_by_text("a job could not train on them any more")).to_be_visible()


def test_what_a_user_wrote_is_text(api: LiveApi, page: Page) -> None:
    dataset = mixed(api)
    page.goto(f"{api.url}/datasets")
    page.get_by_role("link", name=ATTACK).click()
    loaded(page)
    expect(page.get_by_role("heading", level=1, name=ATTACK)).to_be_visible()
    expect(page.get_by_role("heading", level=3, name=ATTACK)).to_be_visible()
    expect(page).to_have_title("Data set · gblend")
    assert page.url.endswith(dataset)


def test_a_job_can_be_started_with_it_and_it_can_be_forgotten(api: LiveApi, page: Page) -> None:
    dataset = register(api, {"name": "short-lived", "dataset": toy_spec()["dataset"]})
    page.goto(f"{api.url}/datasets/{dataset}")
    expect(page.get_by_role("link", name="Start a job with it")).to_have_attribute("href", f"/new?dataset={dataset}")
    page.get_by_text("Spec", exact=True).click()
    page.get_by_role("button", name="Forget it…").click()
    page.get_by_role("button", name="Keep it").click()
    page.get_by_role("button", name="Forget it…").click()
    page.get_by_role("button", name="Forget it", exact=True).click()
    expect(page.get_by_text("No data set is registered yet")).to_be_visible()
    page.goto(f"{api.url}/datasets/{dataset}")
    expect(page.get_by_role("alert")).to_contain_text("there is no data set")


def test_keys_alone_reach_the_filters_and_the_counts(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/datasets/{example(api, 'digits')}")
    loaded(page)
    count = page.get_by_role("button", name="84 rows of 0 in train (T): show them")
    count.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_text("84 rows, 12 shown")).to_be_visible()
    page.get_by_label("Part", exact=True).focus()
    page.keyboard.press("ArrowUp")
    expect(page.get_by_text("168 rows, 12 shown")).to_be_visible()


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_axe_finds_nothing_serious_and_a_phone_is_wide_enough(
    api: LiveApi, person: Person, theme: str, width: int
) -> None:
    page = person.page
    page.set_viewport_size({"width": width, "height": 800})
    page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    for dataset in (mixed(api), example(api, "tickets"), example(api, "gestures")):
        page.goto(f"{api.url}/datasets/{dataset}")
        loaded(page)
        page.get_by_text("Spec", exact=True).click()
        assert person.findings() == []
        assert not person.is_wider_than_the_window()
    page.goto(f"{api.url}/datasets")
    expect(page.get_by_role("row")).to_have_count(4)
    page.get_by_label("Spec, as JSON").fill(json.dumps(toy_spec() | {"name": "x" * 90}))
    page.get_by_role("button", name="Look at it").click()
    expect(page.get_by_role("region", name="Splits")).to_be_visible()
    assert person.findings() == []
    assert not person.is_wider_than_the_window()
