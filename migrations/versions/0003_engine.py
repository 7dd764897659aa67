"""The engine: priorities, queues, run time, retries, deletion; workers, logs and checkpoints.

Revises: 0002
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.persistence.schema import forward_only

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.add_column("job", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("queue", sa.String(64), nullable=False, server_default="default"))
    op.add_column("job", sa.Column("max_runtime_seconds", sa.Double()))
    op.add_column("job", sa.Column("run_seconds", sa.Double(), nullable=False, server_default="0"))
    op.add_column("job", sa.Column("retry_of", sa.String(40)))
    op.add_column("job", sa.Column("deleted_at", INSTANT))
    op.create_index("ix_job_deleted_at", "job", ["deleted_at"])
    op.create_index("ix_job_finished_at", "job", ["finished_at"])

    op.add_column("unit", sa.Column("priority", sa.Integer(), nullable=False, server_default="0"))
    op.add_column("unit", sa.Column("queue", sa.String(64), nullable=False, server_default="default"))
    op.add_column("unit", sa.Column("devices", sa.Integer(), nullable=False, server_default="1"))
    op.add_column("unit", sa.Column("worker_id", sa.String(64)))
    op.add_column("unit", sa.Column("payload", JSON))
    op.add_column("unit", sa.Column("progress", JSON))
    op.add_column("unit", sa.Column("logged", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("unit", sa.Column("leased_at", INSTANT))
    op.create_index("ix_unit_state_queue_priority_id", "unit", ["state", "queue", "priority", "id"])

    op.add_column("experiment", sa.Column("deleted_at", INSTANT))

    op.create_table(
        "worker",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("host", sa.String(255), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("version", sa.String(64), nullable=False),
        sa.Column("queues", JSON, nullable=False),
        sa.Column("slots", sa.Integer(), nullable=False),
        sa.Column("gpus", JSON, nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("heartbeat_at", INSTANT, nullable=False),
        sa.Column("stopped_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_worker"),
    )
    op.create_index("ix_worker_heartbeat_at", "worker", ["heartbeat_at"])

    op.create_table(
        "log_chunk",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "seq", name="pk_log_chunk"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_log_chunk_job_id_job", ondelete="CASCADE"),
    )

    op.create_table(
        "checkpoint",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("part", sa.String(16), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False, autoincrement=False),
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("files", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "part", "fence", "name", name="pk_checkpoint"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_checkpoint_job_id_job", ondelete="CASCADE"),
    )

    op.create_table(
        "counter",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("label", sa.String(64), nullable=False),
        sa.Column("value", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", "label", name="pk_counter"),
    )


def downgrade() -> None:
    raise forward_only()
