"""Wake-ups for readers of the log, on both databases."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from core.jobs.service import JobService
from core.persistence.notify import Notifier
from tests.integration.engine.samples import spec
from tests.servers import PostgresServer, wait_until


@pytest.fixture
def notifier(database_url: str) -> Iterator[Notifier]:
    """A notifier that listens."""
    listening = Notifier(database_url)
    listening.start()
    yield listening
    listening.stop()


def test_a_commit_wakes_those_who_wait_for_the_job(notifier: Notifier, jobs: JobService) -> None:
    job, _ = jobs.submit(spec())
    woken, everybody = threading.Event(), threading.Event()
    notifier.subscribe(job.id, woken.set)
    notifier.subscribe(None, everybody.set)
    assert woken.wait(30)  # whoever starts to listen is woken once
    for _ in range(3):
        woken.clear()
        everybody.clear()
        other, _ = jobs.submit(spec())
        assert everybody.wait(30)
        jobs.cancel(other.id)
    woken.clear()
    jobs.cancel(job.id)
    assert woken.wait(30)


def test_after_unsubscribing_nobody_calls(notifier: Notifier, jobs: JobService) -> None:
    job, _ = jobs.submit(spec())
    calls: list[int] = []
    first, second = threading.Event(), threading.Event()
    notifier.subscribe(job.id, first.set)
    unsubscribe = notifier.subscribe(job.id, lambda: calls.append(1))
    assert first.wait(30)
    unsubscribe()
    unsubscribe()
    before = len(calls)
    notifier.subscribe(job.id, second.set)
    jobs.cancel(job.id)
    assert second.wait(30)
    assert len(calls) == before


def test_on_postgresql_the_notification_names_the_job_and_beats_the_poll(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the fallback switched off, only NOTIFY can wake anybody, and only those who wait for this job."""
    from core.persistence import Database, notify

    monkeypatch.setattr(notify, "POSTGRES_FALLBACK_SECONDS", 3600.0)
    database = Database(postgres_url)
    jobs = JobService(database)
    ours, theirs = jobs.submit(spec())[0], jobs.submit(spec())[0]
    listening = Notifier(postgres_url)
    our_calls, their_calls = threading.Semaphore(0), threading.Semaphore(0)
    listening.subscribe(ours.id, our_calls.release)
    listening.subscribe(theirs.id, their_calls.release)
    listening.start()
    assert our_calls.acquire(timeout=30)
    assert their_calls.acquire(timeout=30)
    jobs.cancel(ours.id)
    assert our_calls.acquire(timeout=30)
    assert not their_calls.acquire(blocking=False)
    jobs.cancel(theirs.id)
    assert their_calls.acquire(timeout=30)
    listening._stopping.set()
    jobs.submit(spec())
    listening.stop()
    database.close()


def test_a_listener_survives_a_restart_of_postgresql(postgres_server: PostgresServer, postgres_url: str) -> None:
    from core.persistence import Database

    database = Database(postgres_url)
    jobs = JobService(database)
    job, _ = jobs.submit(spec())
    woken = threading.Event()
    listening = Notifier(postgres_url)
    listening.subscribe(job.id, woken.set)
    listening.start()
    assert woken.wait(30)
    postgres_server.stop()
    try:
        woken.clear()
        assert woken.wait(30)  # told to look, since nothing can be heard
    finally:
        postgres_server.start()
    wait_until(lambda: _listens(postgres_server, postgres_url), "the listener to be back")
    woken.clear()
    jobs.cancel(job.id)
    assert woken.wait(30)
    listening.stop()
    database.close()


def _listens(server: PostgresServer, url: str) -> bool:
    import psycopg

    with psycopg.connect(url) as connection:
        query = "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'gblend-listen'"
        row = connection.execute(query).fetchone()
    return row is not None and row[0] == 1
