"""The body of `POST /v1/jobs/{id}/retry`."""

from __future__ import annotations

from pydantic import ConfigDict

from core.spec import Scheduling
from core.spec.base import SpecModel


class RetryIn(SpecModel):
    """What is to be different in the new job: only when and where it runs, so that the old checkpoint stays good."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{}, {"scheduling": {"max_runtime_seconds": 7200.0}}]},
    )

    scheduling: Scheduling = Scheduling()
    """The fields given here replace those of the old job; the others stay as they were."""
