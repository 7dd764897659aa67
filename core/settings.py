"""Operator settings, nested by area, read from the environment (`GBLEND_DATABASE__URL=...`) where a process starts.

Nothing here is read at import: `Settings()` is called by the entry points and handed down.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from core.attribute_docs import DocumentedModel


class _Area(DocumentedModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


def _database_url(value: SecretStr) -> SecretStr:
    if re.match(r"(sqlite|postgresql)(\+\w+)?://", value.get_secret_value()) is None:
        raise ValueError("use sqlite:///path or postgresql://user@host/name")
    return value


class DatabaseSettings(_Area):
    """Where jobs, events and history live."""

    url: Annotated[SecretStr, AfterValidator(_database_url)] | None = None
    """`postgresql://...` (psycopg 3) or `sqlite:///...`; left out: `gblend.sqlite3` in the state folder."""
    pool_size: Annotated[int, Field(ge=1, le=100)] = 10
    """PostgreSQL connections that one process keeps."""


class BrokerSettings(_Area):
    """What carries wake-ups. Losing it loses nothing: the table is the outbox."""

    url: SecretStr | None = None
    """`redis://...` or `amqp://...` (RabbitMQ); left out: kombu's filesystem transport in the state folder."""
    queue: str = "gblend.units"
    """The queue of the class `default`; that of any other class is called `<this>.<class>`."""


QueueName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._\-]{0,63}$")]
"""As in `core.spec.scheduling`, which stands above this module."""


def _split(value: Any) -> Any:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else value


class WorkerSettings(_Area):
    """Which work a worker takes."""

    queues: Annotated[tuple[QueueName, ...], NoDecode, BeforeValidator(_split), Field(min_length=1)] = ("default",)
    """Classes of jobs (`scheduling.queue`) that it runs, separated by commas; the order means nothing."""
    address: str | None = None
    """Name or number by which other workers reach this machine, for jobs on several (`scheduling.nodes`); left out: its
    host name."""


class ArtifactSettings(_Area):
    """Where models and metrics go."""

    url: str | None = None
    """Any fsspec URL (`file://`, `s3://bucket/prefix`); left out: `artifacts/` in the state folder."""


_PREFIX = re.compile(r"(?:s3|gs)://[A-Za-z0-9][A-Za-z0-9._\-]*(?:/(?!\.{1,2}(?:/|$))[^/\\%?#@\x00-\x1f\x7f]+)*")


def _prefix(value: str) -> str:
    plain = value.rstrip("/")
    if _PREFIX.fullmatch(plain) is None:
        raise ValueError("use s3://bucket/folder or gs://bucket/folder: no user, no query, no '..', nothing encoded")
    return plain


class RootSettings(_Area):
    """The only places a spec's URIs may name."""

    data: Path | None = None
    """What `data://` means; left out: `data/` in the state folder."""
    models: Path | None = None
    """What `models://` means; left out: `models/` in the state folder."""
    remote: tuple[Annotated[str, AfterValidator(_prefix)], ...] | None = None
    """JSON list of URLs (`["s3://bucket/datasets"]`) below which data may lie on object stores; left out: none."""
    mirror: Path | None = None
    """Where copies of what lies there are kept; left out: `mirror/` in the state folder."""
    mirror_bytes: Annotated[int, Field(ge=1)] = 107_374_182_400
    """What the copies may take: the least recently used ones, if not in use, go first, at each sweep."""


HubPattern = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9_.\-]+/([A-Za-z0-9_.\-]+|\*))$")]


def _split_any(value: Any) -> Any:
    """An empty text is an empty list."""
    return [] if value == "" else _split(value)


def _endpoint(value: str) -> str:
    if re.fullmatch(r"https?://[A-Za-z0-9.\-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~\-]+)*/?", value) is None:
        raise ValueError("use https://host or https://host/path: no user, no query")
    return value.rstrip("/")


class FeatureSettings(_Area):
    """What frozen encoders have computed, kept for further jobs of the same machine."""

    folder: Path | None = None
    """Where features lie; left out: `features/` in the state folder."""
    max_bytes: Annotated[int, Field(ge=0)] = 20 * 2**30
    """How much of them is kept; what was used longest ago goes first."""
    allow_hub: Annotated[tuple[HubPattern, ...], NoDecode, BeforeValidator(_split_any)] = ()
    """Models of a hub that jobs may name, separated by commas: `owner/name`, `owner/*` or `*`; left out: none."""
    hub_endpoint: Annotated[str, AfterValidator(_endpoint)] | None = None
    """URL of the hub, such as a company's mirror; left out: what the library `huggingface_hub` takes by itself."""
    hub_bytes: Annotated[int, Field(ge=1)] = 50 * 2**30
    """What downloaded models may take, below the folder of features; the least recently used ones go first."""


class DataSettings(_Area):
    """How a training loads its data; no result depends on it."""

    decode_processes: Annotated[int, Field(ge=0, le=256)] | None = None
    """Processes that decode the media of one training; left out: one per core that it may use, at most 32; 0: the
    training decodes one file after the other itself."""
    file_seconds: Annotated[float, Field(gt=0)] = 60.0
    """A media file that takes longer to decode is a bad sample (`file.too_slow`)."""
    memory_bytes: Annotated[int, Field(ge=0)] = 2_147_483_648
    """What the decoded samples of one modality may take in the memory of a training; more is kept on the worker's disk,
    in the run directory, until the process ends."""
    store_seconds: Annotated[float, Field(ge=0)] = 60.0
    """An object store that does not answer a training is asked again for so long; then the attempt ends and is repeated
    like one whose worker was lost."""


class EngineSettings(_Area):
    """Leases and their clocks, in seconds."""

    lease_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How long a worker may be silent before its job is given to another."""
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often a worker renews its lease."""
    self_fence_seconds: Annotated[float, Field(gt=0)] = 45.0
    """A worker without a successful heartbeat for so long stops its training itself."""
    desired_poll_seconds: Annotated[float, Field(gt=0)] = 0.5
    """How often a supervisor looks whether a cancel was asked for."""
    reap_seconds: Annotated[float, Field(gt=0)] = 10.0
    """How often expired leases are looked for, at the latest: the moment at which one will be over is known."""
    redispatch_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A ready unit that nobody was told of for so long is announced again."""
    retry_backoff_seconds: Annotated[float, Field(ge=0)] = 5.0
    """Before the second attempt; doubled for each further one, at most 5 minutes."""
    max_attempts: Annotated[int, Field(ge=1, le=100)] = 5
    """Crashes and lost workers after which a job fails for good; a clean shutdown of a worker does not count."""
    cancel_grace_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Between SIGTERM and SIGKILL of a training child."""
    checkpoint_seconds: Annotated[float, Field(ge=0)] = 60.0
    """A training writes a checkpoint after so much work within an epoch, besides those at the end of each, and saves
    what a frozen encoder has computed as often; 0: after every batch."""
    stall_seconds: Annotated[float, Field(ge=0)] = 1800.0
    """A training that shows no progress for so long is killed and goes on from its last checkpoint; 0: never."""
    log_bytes_per_job: Annotated[int, Field(ge=0)] = 8_388_608
    """How much of what a job's training prints is kept for `/logs`, over all attempts; 0: nothing."""
    max_pending: Annotated[int, Field(ge=0)] = 10_000
    """Jobs of a project that may wait or be paused at once; one more gets 429. 0: any number."""
    retention_days: Annotated[float, Field(gt=0)] | None = None
    """Jobs that ended so long ago are deleted, with all that they left behind; left out: they stay for ever."""
    sweep_seconds: Annotated[float, Field(gt=0)] = 60.0
    """How often the files and rows of deleted jobs are removed, and jobs past their retention deleted."""
    share_checkpoints: Literal["auto", "always", "never"] = "auto"
    """Whether workers put their newest checkpoints into the artifact store too, so that a job survives the loss of a
    machine; `auto`: where the store is not on the local file system."""
    slots: Annotated[int, Field(ge=0, le=256)] = 0
    """Trainings at once per worker; 0: one per visible GPU, or one per CPU core where there is none."""
    nice: Annotated[int, Field(ge=0, le=19)] = 5
    """By how much a training stands back (nice) where it shares cores with the service's processes; 0: not at all."""
    nodes_wait_seconds: Annotated[float, Field(gt=0)] = 300.0
    """A job on several workers that has one waits so long for the others, then gives its place back and rests."""

    @model_validator(mode="after")
    def _heartbeat_inside_lease(self) -> EngineSettings:
        if not self.heartbeat_seconds < self.self_fence_seconds <= self.lease_seconds:
            raise ValueError("engine: heartbeat_seconds < self_fence_seconds <= lease_seconds must hold")
        return self


class ApiSettings(_Area):
    """The HTTP side."""

    host: str = "127.0.0.1"
    """Address to listen on; another than loopback needs `--insecure-no-auth`."""
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    """Port to listen on; 0: any free one."""
    max_body_bytes: Annotated[int, Field(ge=1024)] = 1_048_576
    """Larger request bodies get 413."""
    max_list: Annotated[int, Field(ge=1, le=10_000)] = 1000
    """Rows that one list answer may hold."""
    sse_ping_seconds: Annotated[float, Field(gt=0)] = 15.0
    """Between two comments on a stream that has nothing to say."""
    sse_retry_ms: Annotated[int, Field(ge=0)] = 1000
    """How soon a client whose stream broke should come back."""
    sse_max_streams: Annotated[int, Field(ge=1)] = 256
    """Streams at once per API process; one more gets 429."""
    sse_send_timeout_seconds: Annotated[float, Field(gt=0)] = 30.0
    """A client that takes nothing for so long is dropped."""
    preview_processes: Annotated[int, Field(ge=1, le=64)] = 2
    """Processes in which samples of registered data sets are read and decoded for a look; they end when idle."""
    preview_seconds: Annotated[float, Field(gt=0)] = 30.0
    """What takes longer to look at is given up (`preview.too_slow`, `file.too_slow`)."""
    preview_memory_bytes: Annotated[int, Field(ge=268_435_456)] = 2_147_483_648
    """What one of these processes may take; what needs more is told so (`preview.too_large`)."""


class LogSettings(_Area):
    """Structured logs on standard error."""

    level: str = "INFO"
    """`DEBUG`, `INFO`, `WARNING` or `ERROR`."""
    json_lines: bool = True
    """One JSON object a line; otherwise text for people."""


class Settings(DocumentedModel, BaseSettings):
    """All settings. Environment names: `GBLEND_` + area + `__` + field, in upper case (`GBLEND_API__PORT`)."""

    model_config = SettingsConfigDict(env_prefix="GBLEND_", env_nested_delimiter="__", frozen=True, extra="forbid")

    state_dir: Path = Path("var")
    """Where the embedded database, broker, runs and artifacts live."""
    database: DatabaseSettings = DatabaseSettings()
    broker: BrokerSettings = BrokerSettings()
    artifacts: ArtifactSettings = ArtifactSettings()
    roots: RootSettings = RootSettings()
    features: FeatureSettings = FeatureSettings()
    engine: EngineSettings = EngineSettings()
    data: DataSettings = DataSettings()
    worker: WorkerSettings = WorkerSettings()
    api: ApiSettings = ApiSettings()
    log: LogSettings = LogSettings()

    def model_post_init(self, context: Any) -> None:
        object.__setattr__(self, "state_dir", Path(os.path.abspath(self.state_dir)))

    @property
    def database_url(self) -> str:
        """The database URL with the embedded default filled in. May hold a password: never log it."""
        if self.database.url is not None:
            return self.database.url.get_secret_value()
        return f"sqlite:///{self.state_dir / 'gblend.sqlite3'}"

    @property
    def artifacts_url(self) -> str:
        """The artifact store's URL with the embedded default filled in."""
        return self.artifacts.url or (self.state_dir / "artifacts").as_uri()

    @property
    def runs_dir(self) -> Path:
        """Where workers keep run directories: checkpoints, journals, logs of the training child."""
        return self.state_dir / "runs"

    @property
    def features_folder(self) -> Path:
        """Where features of frozen encoders lie."""
        return self.features.folder or self.state_dir / "features"

    @property
    def local_roots(self) -> dict[str, Path]:
        """URI scheme -> folder: what `data://` and `models://` mean."""
        return {
            "data": self.roots.data or self.state_dir / "data",
            "models": self.roots.models or self.state_dir / "models",
        }

    @property
    def mirror_dir(self) -> Path:
        """Where copies of remote objects are kept."""
        return self.roots.mirror or self.state_dir / "mirror"

    @property
    def data_roots(self) -> dict[str, Path]:
        """What URIs may name: `local_roots`, and of each allowed URL prefix the name that it has in the mirror (see
        `core.data.remote`)."""
        remote = {url: self.mirror_dir / "remote" / url.replace("://", "/", 1) for url in self.roots.remote or ()}
        return {**self.local_roots, **remote}


def what_is_wrong(error: ValidationError) -> str:
    """Of every setting that `Settings()` refused, its variable and the reason; not the value, which may be a secret."""
    return "; ".join(
        f"GBLEND_{'__'.join(str(part) for part in each['loc']).upper()}: {each['msg'].removeprefix('Value error, ')}"
        for each in error.errors(include_input=False, include_url=False, include_context=False)
    )
