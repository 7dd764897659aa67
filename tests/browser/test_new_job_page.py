"""The form of a new job: filled in by hand, corrected, edited as JSON."""

from __future__ import annotations

import json

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.browser.new_job import at, begin, fill_toy, jobs, open_all, shown, suggested
from tests.browser.person import Person
from tests.e2e.api.live import LiveApi, toy_spec


def test_a_whole_job_by_hand(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new")
    expect(page.get_by_text("3 fields still needed")).to_be_visible()
    assert page.locator("[aria-invalid=true]").count() == 0
    fill_toy(page)
    page.get_by_label("Blending: strategy").select_option("offline")
    at(page, "training/epochs").fill("7")
    at(page, "metadata").click()
    page.get_by_label("Metadata: name 1").fill("team")
    page.get_by_label("Value of team").fill("speech")
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    assert shown(page) == {
        "name": "by hand",
        "metadata": {"team": "speech"},
        "dataset": {key: value for key, value in toy_spec()["dataset"].items() if key != "sample_id"},
        "blending": {"strategy": "offline"},
        "training": {"epochs": 7},
    }
    page.get_by_role("button", name="Submit the job").click()
    page.wait_for_url("**/jobs/job_*")
    (job,) = jobs(api)
    assert page.url.endswith(job["id"])
    assert job["name"] == "by hand"
    assert job["spec"]["training"]["epochs"] == 7
    page.goto(f"{api.url}/new")
    expect(at(page, "name")).to_have_value("")


def test_the_service_fills_the_form_in(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new")
    at(page, "dataset/source/uri").fill("data://toy/manifest.csv")
    page.get_by_role("button", name="Fill in from the data").click()
    expect(page.get_by_text("Guessed from 40 rows")).to_be_visible()
    expect(at(page, "dataset/target/column")).to_have_value("label")
    assert {"colour", "height", "label", "weight"} <= set(suggested(page, "dataset/target/column"))
    page.get_by_role("button", name="Undo").click()
    expect(at(page, "dataset/target/column")).to_have_value("")
    expect(at(page, "dataset/source/uri")).to_have_value("data://toy/manifest.csv")


def test_a_wrong_column_is_told_at_its_field(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    field = at(page, "dataset/target/column")
    field.fill("lable")
    expect(field).to_have_attribute("aria-invalid", "true")
    said = page.locator('[id="spec/dataset/target/column?said"]')
    expect(said).to_contain_text("there is no column 'lable' (did you mean 'label'?)")
    assert "spec/dataset/target/column?said" in str(field.get_attribute("aria-describedby"))
    page.get_by_role("link", name="dataset.target.column").click()
    expect(field).to_be_focused()
    said.get_by_role("button", name="Use “label”").click()
    expect(field).to_have_value("label")
    expect(field).not_to_have_attribute("aria-invalid", "true")
    expect(page.get_by_text("Ready to submit")).to_be_visible()


def test_what_hides_a_wrong_field_opens(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec(training={"pretrain_epochs": -1}))
    expect(at(page, "training/pretrain_epochs")).to_have_value("-1")
    expect(at(page, "training/pretrain_epochs")).to_have_attribute("aria-invalid", "true")
    at(page, "training/pretrain_epochs").fill("many")
    said = page.locator('[id="spec/training/pretrain_epochs?said"]')
    expect(said).to_contain_text("should be a valid integer")
    at(page, "training/pretrain_epochs").fill("2")
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    assert shown(page)["training"] == {"pretrain_epochs": 2}


def test_what_no_field_stands_for_is_in_the_summary(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec(training={"epoch": 3}, blending={"strategy": "onlin"}))
    told = page.locator(".verdict")
    expect(told).to_contain_text('there is no field "epoch" here')
    expect(told).to_contain_text("did you mean 'epochs'?")
    expect(told).to_contain_text("no field of this form")
    expect(at(page, "blending/strategy")).to_have_value("onlin")
    expect(at(page, "blending/strategy")).to_have_attribute("aria-invalid", "true")
    page.get_by_role("link", name="training.epoch").click()
    expect(at(page, "training")).to_be_focused()
    page.get_by_role("button", name="Call it “epochs”").click()
    expect(at(page, "training/epochs")).to_have_value("3")
    expect(told.get_by_role("button", name="Remove it")).to_have_count(0)
    page.locator('[id="spec/blending/strategy?said"]').get_by_role("button", name="Use “online”").click()
    expect(page.get_by_text("Ready to submit")).to_be_visible()


def test_warnings_are_shown_and_hinder_nothing(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec(scheduling={"queue": "nobody-serves-it"}))
    expect(page.locator(".verdict")).to_contain_text("Worth a look")
    expect(page.locator('[id="spec/scheduling/queue?said"]')).to_contain_text("Note:")
    expect(page.get_by_text("Ready to submit")).to_be_visible()


def test_json_and_form_follow_each_other(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    page.get_by_role("button", name="Edit as JSON").click()
    text = page.get_by_label("Job spec as JSON")
    text.fill(json.dumps(toy_spec(training={"epochs": 9, "optimizer": {"type": "sgd", "lr": 0.5}})))
    expect(at(page, "training/epochs")).to_have_value("9")
    expect(at(page, "training/optimizer/type")).to_have_value("sgd")
    expect(at(page, "training/optimizer/lr")).to_have_value("0.5")
    at(page, "training/batch_size").fill("16")
    expect(text).to_have_value(
        json.dumps(
            toy_spec(training={"epochs": 9, "optimizer": {"type": "sgd", "lr": 0.5}, "batch_size": 16}), indent=2
        )
    )
    text.fill('{"dataset": ')
    expect(page.get_by_text("This is not JSON yet")).to_be_visible()
    expect(at(page, "training/epochs")).to_have_value("9")
    text.fill("[]")
    expect(page.get_by_text("A job spec is an object")).to_be_visible()
    text.fill(json.dumps({"dataset": 5, "training": "long", "metadata": []}))
    expect(page.get_by_role("button", name="Start training anew")).to_be_visible()
    page.get_by_role("button", name="Start training anew").click()
    expect(at(page, "training/epochs")).to_have_value("20")


def test_every_kind_of_everything_has_fields(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    for label in ("Blending: strategy", "Source: type", "Split: method", "size: type", "Optimizer: type"):
        select = page.get_by_label(label)
        kinds: list[str] = select.locator("option").evaluate_all("(all) => all.map((one) => one.value)")
        assert len(kinds) >= 2
        select.focus()
        for kind in kinds:
            select.select_option(kind)
            expect(select).to_have_value(kind)
            expect(select).to_be_focused()
    open_all(page)
    at(page, "dataset/modalities/0/missing").select_option("mask")
    assert shown(page)["dataset"]["modalities"][0]["missing"] == "mask"


def test_values_of_every_shape(api: LiveApi, page: Page) -> None:
    begin(
        page,
        api,
        toy_spec(
            dataset=toy_spec()["dataset"]
            | {
                "modalities": [
                    {"type": "image", "name": "picture", "column": "a"},
                    {"type": "timeseries", "name": "imu", "column": "b"},
                ]
            }
        ),
    )
    for modality in ("picture", "imu"):
        page.get_by_role("article", name=modality).get_by_text("More options").click()
    at(page, "dataset/modalities/0/preprocess/size/0").fill("32")
    at(page, "dataset/modalities/0/preprocess/size/1").fill("48")
    at(page, "dataset/modalities/1/shape/1").fill("6")
    first, second = shown(page)["dataset"]["modalities"]
    assert first["preprocess"] == {"size": [32, 48]}
    assert second["shape"] == [None, 6]
    at(page, "dataset/modalities/0/preprocess/size/0").fill("")
    at(page, "dataset/modalities/0/preprocess/size/1").fill("")
    assert "preprocess" not in shown(page)["dataset"]["modalities"][0]

    training = page.get_by_role("region", name="Training")
    training.get_by_text("More options").click()
    training.get_by_role("checkbox", name="Early stopping").check()
    at(page, "training/early_stopping/patience").fill("3")
    page.get_by_label("Class weights", exact=True).select_option("balanced")
    assert shown(page)["training"] == {"early_stopping": {"patience": 3}, "loss": {"class_weights": "balanced"}}
    page.get_by_label("Class weights", exact=True).select_option("a value for each name")
    training.get_by_role("button", name="Add entry").click()
    page.get_by_label("Class weights: value: name 1").fill("yes")
    page.get_by_label("Value of yes").fill("2.5")
    training.get_by_role("checkbox", name="Early stopping").uncheck()
    assert shown(page)["training"] == {"loss": {"class_weights": {"yes": 2.5}}}

    split = page.get_by_role("region", name="Split")
    split.get_by_text("More options").first.click()
    page.get_by_label("Stratify by", exact=True).select_option("no")
    split.get_by_role("button", name="Add group by").first.click()
    at(page, "dataset/split/group_by/0").fill("speaker, with a comma")
    assert shown(page)["dataset"]["split"] == {
        "method": "draw",
        "stratify_by": False,
        "group_by": ["speaker, with a comma"],
    }
    at(page, "dataset/split/group_by/0").press("Enter")
    expect(at(page, "dataset/split/group_by/1")).to_be_focused()


def test_no_json_breaks_the_form(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    open_all(page)
    page.get_by_role("button", name="Edit as JSON").click()
    modality = toy_spec()["dataset"]["modalities"][0]
    for odd in (None, 5, "x", "toString", [], {}, [None], {"type": 5}, {"type": "__proto__"}, {"a": {"b": []}}):
        dataset = toy_spec()["dataset"]
        for spec in (
            *({key: odd} for key in ("dataset", "blending", "training", "metadata", "holdout", "name", "odd")),
            *({"dataset": dataset | {key: odd}} for key in ("source", "target", "modalities", "split")),
            *({"dataset": dataset | {"modalities": [modality | {key: odd}]}} for key in ("name", "columns", "encoder")),
            {"dataset": dataset | {"modalities": [odd]}},
        ):
            page.get_by_label("Job spec as JSON").fill(json.dumps(spec))
            assert page.get_by_text("This page broke").count() == 0, spec


def test_modalities_change_places(api: LiveApi, page: Page) -> None:
    begin(page, api, toy_spec())
    page.get_by_role("button", name="Move size down").click()
    expect(page.get_by_role("button", name="Move size down")).to_be_focused()
    assert [one["name"] for one in shown(page)["dataset"]["modalities"]] == ["look", "size"]
    page.get_by_role("button", name="Remove look").click()
    expect(page.get_by_role("button", name="Add modality")).to_be_focused()
    expect(page.locator(".verdict")).to_contain_text("needs at least 2 entries")


def test_a_field_that_the_spec_gains_appears_by_itself(api: LiveApi, page: Page) -> None:
    def grown(route: Route) -> None:
        document = route.fetch().json()
        schemas = document["components"]["schemas"]
        schemas["TrainingSpec"]["properties"]["mixup"] = {
            "type": "number",
            "minimum": 0.0,
            "default": 0.0,
            "description": "Blend pairs of samples.",
        }
        schemas["JobSpec"]["properties"]["distillation"] = {"type": "boolean", "default": False}
        route.fulfill(json=document)

    page.route("**/openapi.json", grown)
    begin(page, api, toy_spec())
    page.get_by_role("region", name="Training").get_by_text("More options").click()
    at(page, "training/mixup").fill("0.5")
    expect(page.get_by_text("Blend pairs of samples.")).to_be_visible()
    page.get_by_role("region", name="Other").get_by_label("Distillation").check()
    assert shown(page)["training"] == {"mixup": 0.5}
    assert shown(page)["distillation"] is True


def test_keys_alone_fill_in_a_job(api: LiveApi, page: Page) -> None:
    page.goto(f"{api.url}/new")
    at(page, "dataset/source/uri").focus()
    page.keyboard.type("data://toy/manifest.csv")

    def tab_to(what: Locator) -> None:
        for _ in range(60):
            if what.evaluate("(one) => one === document.activeElement"):
                return
            page.keyboard.press("Tab")
        raise AssertionError("no way there")

    tab_to(page.get_by_role("button", name="Fill in from the data"))
    page.keyboard.press("Enter")
    expect(page.get_by_text("Guessed from 40 rows")).to_be_visible()
    tab_to(page.get_by_label("Type", exact=True).last)
    page.keyboard.type("tabular")
    tab_to(page.get_by_role("button", name="Add modality"))
    page.keyboard.press("Enter")
    expect(at(page, "dataset/modalities/1/name")).to_be_focused()
    page.keyboard.type("look")
    tab_to(at(page, "dataset/modalities/1/columns"))
    page.keyboard.press("Enter")
    expect(at(page, "dataset/modalities/1/columns/0/name")).to_be_focused()
    page.keyboard.type("weight")
    page.keyboard.press("Tab")
    page.keyboard.type("number")
    tab_to(at(page, "blending/strategy"))
    page.keyboard.type("naive")
    expect(at(page, "blending/strategy")).to_have_value("naive")
    tab_to(at(page, "training/epochs"))
    page.keyboard.type("5")
    expect(page.get_by_text("Ready to submit")).to_be_visible()
    tab_to(page.get_by_role("button", name="Submit the job"))
    page.keyboard.press("Enter")
    page.wait_for_url("**/jobs/job_*")
    assert jobs(api)[0]["spec"]["training"]["epochs"] == 5


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_axe_finds_nothing_serious(api: LiveApi, person: Person, theme: str) -> None:
    person.page.emulate_media(color_scheme="light" if theme == "light" else "dark")
    begin(person.page, api, toy_spec(training={"epochs": 0}, metadata={"a": "b"}, scheduling={"queue": "nobody"}))
    person.page.get_by_label("Train with several strategies and seeds").check()
    open_all(person.page)
    person.page.get_by_role("button", name="Edit as JSON").click()
    expect(at(person.page, "training/epochs")).to_have_attribute("aria-invalid", "true")
    assert person.findings() == []


def test_a_phone_is_wide_enough(api: LiveApi, person: Person) -> None:
    person.page.set_viewport_size({"width": 390, "height": 800})
    begin(person.page, api, toy_spec(name="a-name-without-any-blank-" * 8, metadata={"k" * 60: "v" * 500}))
    open_all(person.page)
    at(person.page, "dataset/target/column").fill("x" * 200)
    expect(at(person.page, "dataset/target/column")).to_have_attribute("aria-invalid", "true")
    assert not person.is_wider_than_the_window()
