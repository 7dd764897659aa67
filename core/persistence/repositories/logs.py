"""What training processes printed, in numbered pieces."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import LargeBinary, cast, func, select
from sqlalchemy.orm import Session

from core.persistence.orm import LogChunkRow


class LogRepository:
    """Rows of `log_chunk`. Whoever adds some holds the lock of the job: that is why `seq` has no gaps."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def last_seq(self, job_id: str) -> int:
        """The number of the newest chunk; 0 where there is none."""
        return self._session.scalar(select(func.max(LogChunkRow.seq)).where(LogChunkRow.job_id == job_id)) or 0

    def size(self, job_id: str) -> int:
        """Bytes (UTF-8) of all chunks."""
        if self._session.get_bind().dialect.name == "postgresql":
            length = func.octet_length(LogChunkRow.text)
        else:
            length = func.length(cast(LogChunkRow.text, LargeBinary))
        return int(self._session.scalar(select(func.sum(length)).where(LogChunkRow.job_id == job_id)) or 0)

    def add(self, job_id: str, *, after: int, attempt: int, texts: Sequence[str], moment: datetime) -> None:
        """Add chunks, numbered from `after` + 1 on."""
        self._session.add_all(
            LogChunkRow(job_id=job_id, seq=seq, attempt=attempt, text=text, created_at=moment)
            for seq, text in enumerate(texts, start=after + 1)
        )

    def page(self, job_id: str, *, after: int, limit: int) -> Sequence[LogChunkRow]:
        """Ascending, with `seq` above `after`; one row more than `limit` where there are more."""
        query = select(LogChunkRow).where(LogChunkRow.job_id == job_id, LogChunkRow.seq > after)
        return self._session.scalars(query.order_by(LogChunkRow.seq).limit(limit + 1)).all()

    def backwards(self, job_id: str, *, after: int, before: int | None, limit: int) -> Sequence[LogChunkRow]:
        """Descending, from the one before `before` (`None`: the newest) to the one after `after`."""
        query = select(LogChunkRow).where(LogChunkRow.job_id == job_id, LogChunkRow.seq > after)
        if before is not None:
            query = query.where(LogChunkRow.seq < before)
        return self._session.scalars(query.order_by(LogChunkRow.seq.desc()).limit(limit)).all()
