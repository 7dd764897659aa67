"""Logs of processes that were killed while they wrote."""

import json

from tests.chaos.logs import entries, errors

ERROR = json.dumps(
    {"event": "failed", "path": "/v1/jobs", "exception": "Traceback:\n  KeyError: 'a'\n", "level": "error"}
)
INFO = json.dumps({"event": "started", "level": "info"})


def test_errors_are_counted_by_event_path_and_what_was_raised():
    log = "\n".join([ERROR, INFO, ERROR, "Traceback (most recent call last):", "plain words"])
    assert errors(log) == {"failed; /v1/jobs; KeyError: 'a'": 2, "traceback": 1}


def test_an_entry_that_was_cut_in_its_text_hides_nothing_behind_it():
    assert list(entries(ERROR[:40] + INFO)) == [json.loads(INFO)]
    assert errors(INFO[:-3] + ERROR) == {"failed; /v1/jobs; KeyError: 'a'": 1}


def test_an_entry_that_quotes_another_is_one():
    line = json.dumps({"event": "said", "text": ERROR, "level": "info"})
    assert list(entries(line)) == [json.loads(line)]


def test_a_cut_entry_alone_is_nothing():
    assert errors(ERROR[:-5]) == {}
