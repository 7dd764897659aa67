"""Super-epochs and metrics: what events said, as rows that can be asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import select, tuple_
from sqlalchemy.orm import Session

from core.persistence.orm import MetricRow, SuperEpochRow


class MetricNumbers(NamedTuple):
    """A row of `metric` but for its job."""

    seq: int
    position: int
    scope: str
    epoch: int
    head: str
    split: str
    metric: str
    value: float | None
    se: float | None


class HistoryRepository:
    """Rows of `super_epoch` and `metric`."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def super_epochs(self, job_id: str, *, after: int | None, limit: int) -> Sequence[SuperEpochRow]:
        """Ascending; one row more than `limit` where there are more."""
        query = select(SuperEpochRow).where(SuperEpochRow.job_id == job_id)
        if after is not None:
            query = query.where(SuperEpochRow.super_epoch > after)
        return self._session.scalars(query.order_by(SuperEpochRow.super_epoch).limit(limit + 1)).all()

    def weights(self, job_id: str) -> list[tuple[int, dict[str, float]]]:
        """`(super_epoch, head -> weight)` of every super-epoch, ascending."""
        query = select(SuperEpochRow.super_epoch, SuperEpochRow.weights).where(SuperEpochRow.job_id == job_id)
        return [
            (number, weights) for number, weights in self._session.execute(query.order_by(SuperEpochRow.super_epoch))
        ]

    def chosen_super_epochs(self, job_id: str, numbers: Sequence[int]) -> Sequence[SuperEpochRow]:
        """Those of these numbers, ascending."""
        query = select(SuperEpochRow).where(SuperEpochRow.job_id == job_id, SuperEpochRow.super_epoch.in_(numbers))
        return self._session.scalars(query.order_by(SuperEpochRow.super_epoch)).all()

    def metrics(
        self,
        job_id: str,
        *,
        head: str | None,
        split: str | None,
        metric: str | None,
        scope: str | None,
        after: tuple[int, int] | None = None,
        limit: int | None = None,
    ) -> Sequence[MetricNumbers]:
        """In the order they were recorded, from after `(seq, position)` on; one row more than `limit`, if there are.

        Columns, not entities: a long run has hundreds of thousands.
        """
        columns = (getattr(MetricRow, name) for name in MetricNumbers._fields)
        query = select(*columns).where(MetricRow.job_id == job_id).order_by(MetricRow.seq, MetricRow.position)
        for column, wanted in (
            (MetricRow.head, head),
            (MetricRow.split, split),
            (MetricRow.metric, metric),
            (MetricRow.scope, scope),
        ):
            if wanted is not None:
                query = query.where(column == wanted)
        if after is not None:
            query = query.where(tuple_(MetricRow.seq, MetricRow.position) > after)
        if limit is not None:
            query = query.limit(limit + 1)
        return [MetricNumbers(*row) for row in self._session.execute(query)]
