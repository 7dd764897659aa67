"""The tables: a job, its units of work, what the work left behind, experiments over jobs, and the workers.

`job` is locked first in every transaction that writes (so locks are always taken in one order), and its `last_seq`
numbers the events. JSON columns hold no NaN: the serialiser refuses it.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar

from sqlalchemy import (
    JSON,
    BigInteger,
    Boolean,
    Double,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from core.persistence.orm.types import UtcDateTime

JsonObject = dict[str, Any]
JsonArray = list[dict[str, Any]]


class Base(DeclarativeBase):
    """Constraint names are spelled out by a convention, so that migrations can name them on every dialect."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, Any]] = {
        datetime: UtcDateTime(),
        JsonObject: JSON(none_as_null=True),
        JsonArray: JSON(none_as_null=True),
        float: Double(),
        str: String(),
    }


class JobRow(Base):
    """A job as it stands. Name, seed and labels are read from `spec`, which never changes."""

    __tablename__ = "job"
    __table_args__ = (
        UniqueConstraint("project", "idempotency_key"),
        Index(None, "project", "id"),
        Index(None, "project", "status", "id"),
        Index(None, "deleted_at"),
        Index(None, "finished_at"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    status: Mapped[str] = mapped_column(String(16))
    status_reason: Mapped[str | None] = mapped_column(String(64))
    desired: Mapped[str] = mapped_column(String(16))
    phase: Mapped[str | None] = mapped_column(String(32))
    attempt: Mapped[int] = mapped_column(Integer)
    progress: Mapped[JsonObject | None]
    spec: Mapped[JsonObject]
    spec_fingerprint: Mapped[str] = mapped_column(String(80))
    dataset_fingerprint: Mapped[str | None] = mapped_column(String(80))
    environment: Mapped[JsonObject | None]
    result: Mapped[JsonObject | None]
    error: Mapped[JsonObject | None]
    warnings: Mapped[JsonArray]
    transitions: Mapped[JsonArray]
    """`[{status, at, reason}]`, oldest first."""
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    body_digest: Mapped[str] = mapped_column(String(80))
    last_seq: Mapped[int] = mapped_column(BigInteger)
    version: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    priority: Mapped[int] = mapped_column(Integer, default=0)
    """Of two jobs that wait, the one with more goes first."""
    queue: Mapped[str] = mapped_column(String(64), default="default")
    """The class of workers that may run it."""
    max_runtime_seconds: Mapped[float | None]
    run_seconds: Mapped[float] = mapped_column(Double(), default=0.0)
    """How long it was leased in attempts that are over."""
    retry_of: Mapped[str | None] = mapped_column(String(40))
    """The failed job whose last checkpoint this one goes on from."""
    deleted_at: Mapped[datetime | None]
    """When its owner deleted it: nobody sees it any more, and a sweep removes files, then rows."""


class UnitRow(Base):
    """A piece of work that one worker does under one lease.

    Every job has one of kind `run`. Where its estimates are spread, each head has one of kind `estimate`, whose slot is
    the head's place among the heads.
    """

    __tablename__ = "unit"
    __table_args__ = (
        UniqueConstraint("job_id", "super_epoch", "kind", "slot"),
        Index(None, "state", "id"),
        Index(None, "state", "lease_until"),
        Index(None, "state", "queue", "priority", "id"),
    )

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    super_epoch: Mapped[int] = mapped_column(Integer)
    kind: Mapped[str] = mapped_column(String(16))
    slot: Mapped[int] = mapped_column(Integer)
    state: Mapped[str] = mapped_column(String(16))
    """`ready`, `leased`, `paused`, `done`, `failed` or `cancelled`; `waiting`: for other units of the job."""
    fence: Mapped[int] = mapped_column(BigInteger)
    """Grows with every claim. A write that carries an older one finds no row."""
    owner: Mapped[str | None] = mapped_column(String(255))
    lease_until: Mapped[datetime | None]
    heartbeat_at: Mapped[datetime | None]
    progress_at: Mapped[datetime | None]
    """When the training loop itself last moved: a heartbeat proves life, not progress."""
    attempt: Mapped[int] = mapped_column(Integer)
    """How often it was claimed."""
    failures: Mapped[int] = mapped_column(Integer)
    """How many attempts ended badly; a worker that shut down in good order is none of them."""
    max_attempts: Mapped[int] = mapped_column(Integer)
    run_after: Mapped[datetime]
    poked_at: Mapped[datetime | None]
    """When a wake-up for it was last sent."""
    recorded: Mapped[int] = mapped_column(BigInteger)
    """The last number of the journal that was recorded."""
    result: Mapped[JsonObject | None]
    error: Mapped[JsonObject | None]
    created_at: Mapped[datetime]
    priority: Mapped[int] = mapped_column(Integer, default=0)
    """The job's."""
    queue: Mapped[str] = mapped_column(String(64), default="default")
    """The job's."""
    devices: Mapped[int] = mapped_column(Integer, default=1)
    """Slots of one worker that it needs."""
    worker_id: Mapped[str | None] = mapped_column(String(64))
    """The worker that holds the lease, or held it last."""
    payload: Mapped[JsonObject | None]
    """What the unit is to do, where its kind does not say all of it."""
    progress: Mapped[JsonObject | None]
    """Of an estimate: the progress that its process told last; the job's is that of all of them."""
    logged: Mapped[int] = mapped_column(BigInteger, default=0)
    """How many pieces of the job's log are its own."""
    leased_at: Mapped[datetime | None]
    """When the lease at hand began; what is over by its end counts as the job's `run_seconds`."""


class EventRow(Base):
    """One line of the job's append-only log. `seq` has no gaps: it is allocated under the job row's lock."""

    __tablename__ = "event"
    __table_args__ = (UniqueConstraint("job_id", "dedupe_key"),)

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    dedupe_key: Mapped[str] = mapped_column(String(80))
    attempt: Mapped[int] = mapped_column(Integer)
    type: Mapped[str] = mapped_column(String(64))
    level: Mapped[str] = mapped_column(String(16))
    message: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonObject]
    created_at: Mapped[datetime]


class SuperEpochRow(Base):
    """The weights of a super-epoch and what led to them; written in the transaction of its event."""

    __tablename__ = "super_epoch"
    __table_args__ = (ForeignKeyConstraint(["job_id", "seq"], ["event.job_id", "event.seq"], ondelete="CASCADE"),)

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    super_epoch: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    first_epoch: Mapped[int] = mapped_column(Integer)
    epochs: Mapped[int] = mapped_column(Integer)
    policy: Mapped[str] = mapped_column(String(32))
    weights: Mapped[JsonObject]
    heads: Mapped[JsonArray]
    alternatives: Mapped[JsonObject]
    degenerate: Mapped[bool] = mapped_column(Boolean)
    reason: Mapped[str | None] = mapped_column(Text)
    cost: Mapped[JsonObject]
    seq: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime]


class MetricRow(Base):
    """One number of one head on one part of the data; written in the transaction of its event."""

    __tablename__ = "metric"
    __table_args__ = (
        ForeignKeyConstraint(["job_id", "seq"], ["event.job_id", "event.seq"], ondelete="CASCADE"),
        UniqueConstraint("job_id", "scope", "head", "split", "metric", "epoch"),
    )

    job_id: Mapped[str] = mapped_column(String(40), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """0-based within its event: with `seq` a total order."""
    scope: Mapped[str] = mapped_column(String(16))
    epoch: Mapped[int] = mapped_column(Integer)
    head: Mapped[str] = mapped_column(String(80))
    split: Mapped[str] = mapped_column(String(16))
    metric: Mapped[str] = mapped_column(String(32))
    value: Mapped[float | None]
    se: Mapped[float | None]


class ArtifactRow(Base):
    """A stored file of a job that succeeded: the row exists only if its finishing transaction committed."""

    __tablename__ = "artifact"
    __table_args__ = (UniqueConstraint("job_id", "name"),)

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))
    name: Mapped[str] = mapped_column(String(255))
    kind: Mapped[str] = mapped_column(String(32))
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str] = mapped_column(String(64))
    uri: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class ExperimentRow(Base):
    """Jobs that are compared with each other. Its status is that of its jobs; it has none of its own."""

    __tablename__ = "experiment"
    __table_args__ = (UniqueConstraint("project", "idempotency_key"), Index(None, "project", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    name: Mapped[str | None] = mapped_column(String(200))
    spec: Mapped[JsonObject]
    warnings: Mapped[JsonArray]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    body_digest: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]
    deleted_at: Mapped[datetime | None]
    """When its owner deleted it, and all of its jobs; its row goes when the last of theirs has gone."""


class DatasetRow(Base):
    """A registered data set: a spec that jobs can name, and what was found when it was looked at. It never changes."""

    __tablename__ = "dataset"
    __table_args__ = (UniqueConstraint("project", "idempotency_key"), Index(None, "project", "id"))

    id: Mapped[str] = mapped_column(String(40), primary_key=True)
    project: Mapped[str] = mapped_column(String(64))
    spec: Mapped[JsonObject]
    """The registration: name, labels, data set, holdout, seed."""
    fingerprint: Mapped[str] = mapped_column(String(80))
    statistics: Mapped[JsonObject]
    warnings: Mapped[JsonArray]
    idempotency_key: Mapped[str | None] = mapped_column(String(255))
    body_digest: Mapped[str] = mapped_column(String(80))
    created_at: Mapped[datetime]


class ExperimentJobRow(Base):
    """Which job is which strategy's with which seed."""

    __tablename__ = "experiment_job"
    __table_args__ = (UniqueConstraint("experiment_id", "strategy", "seed"), UniqueConstraint("job_id"))

    experiment_id: Mapped[str] = mapped_column(ForeignKey("experiment.id", ondelete="CASCADE"), primary_key=True)
    position: Mapped[int] = mapped_column(Integer, primary_key=True, autoincrement=False)
    """0-based, in the order of submission: seed by seed, strategy by strategy."""
    strategy: Mapped[str] = mapped_column(String(100))
    seed: Mapped[int] = mapped_column(BigInteger)
    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"))


class WorkerRow(Base):
    """A worker process that is alive, or was. Nothing depends on it: leases do that."""

    __tablename__ = "worker"
    __table_args__ = (Index(None, "heartbeat_at"),)

    id: Mapped[str] = mapped_column(String(64), primary_key=True)
    host: Mapped[str] = mapped_column(String(255))
    pid: Mapped[int] = mapped_column(Integer)
    version: Mapped[str] = mapped_column(String(64))
    queues: Mapped[list[str]] = mapped_column(JSON(none_as_null=True))
    slots: Mapped[int] = mapped_column(Integer)
    gpus: Mapped[list[str]] = mapped_column(JSON(none_as_null=True))
    started_at: Mapped[datetime]
    heartbeat_at: Mapped[datetime]
    stopped_at: Mapped[datetime | None]


class LogChunkRow(Base):
    """A piece of what a training process wrote to its standard output and error; written under the lease."""

    __tablename__ = "log_chunk"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    seq: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    """1-based, without gaps."""
    attempt: Mapped[int] = mapped_column(Integer)
    text: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime]


class CounterRow(Base):
    """How often something rare has happened, ever. It only grows, also when the jobs that it counted are deleted."""

    __tablename__ = "counter"

    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    label: Mapped[str] = mapped_column(String(64), primary_key=True)
    """What it is counted by, such as a reason; empty where by nothing."""
    value: Mapped[int] = mapped_column(BigInteger)


class CheckpointRow(Base):
    """A checkpoint that lies in the artifact store, whole: the row is written under the lease after the upload."""

    __tablename__ = "checkpoint"

    job_id: Mapped[str] = mapped_column(ForeignKey("job.id", ondelete="CASCADE"), primary_key=True)
    part: Mapped[str] = mapped_column(String(16), primary_key=True, default="")
    """`Lease.part` of the unit: fences count per unit."""
    fence: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str] = mapped_column(String(64), primary_key=True)
    """Of its folder; names sort as the run went on."""
    bytes: Mapped[int] = mapped_column(BigInteger)
    uri: Mapped[str] = mapped_column(Text)
    """The key of its folder in the store."""
    files: Mapped[JsonArray]
    """`[{name, bytes, sha256}]`."""
    created_at: Mapped[datetime]
