"""Jobs, units of work, events, super-epochs, metrics, artifacts.

Revises: nothing
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.persistence.schema import forward_only

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "job",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("status_reason", sa.String(64)),
        sa.Column("desired", sa.String(16), nullable=False),
        sa.Column("phase", sa.String(32)),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("progress", JSON),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("spec_fingerprint", sa.String(80), nullable=False),
        sa.Column("dataset_fingerprint", sa.String(80)),
        sa.Column("environment", JSON),
        sa.Column("result", JSON),
        sa.Column("error", JSON),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("transitions", JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("last_seq", sa.BigInteger(), nullable=False),
        sa.Column("version", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("started_at", INSTANT),
        sa.Column("finished_at", INSTANT),
        sa.PrimaryKeyConstraint("id", name="pk_job"),
        sa.UniqueConstraint("project", "idempotency_key", name="uq_job_project_idempotency_key"),
    )
    op.create_index("ix_job_project_id", "job", ["project", "id"])
    op.create_index("ix_job_project_status_id", "job", ["project", "status", "id"])

    op.create_table(
        "unit",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("super_epoch", sa.Integer(), nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("slot", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("fence", sa.BigInteger(), nullable=False),
        sa.Column("owner", sa.String(255)),
        sa.Column("lease_until", INSTANT),
        sa.Column("heartbeat_at", INSTANT),
        sa.Column("progress_at", INSTANT),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("max_attempts", sa.Integer(), nullable=False),
        sa.Column("run_after", INSTANT, nullable=False),
        sa.Column("poked_at", INSTANT),
        sa.Column("recorded", sa.BigInteger(), nullable=False),
        sa.Column("result", JSON),
        sa.Column("error", JSON),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_unit"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_unit_job_id_job", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "super_epoch", "kind", "slot", name="uq_unit_job_id_super_epoch_kind_slot"),
    )
    op.create_index("ix_unit_state_id", "unit", ["state", "id"])
    op.create_index("ix_unit_state_lease_until", "unit", ["state", "lease_until"])

    op.create_table(
        "event",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("dedupe_key", sa.String(80), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("type", sa.String(64), nullable=False),
        sa.Column("level", sa.String(16), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("data", JSON, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "seq", name="pk_event"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_event_job_id_job", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "dedupe_key", name="uq_event_job_id_dedupe_key"),
    )

    op.create_table(
        "super_epoch",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("super_epoch", sa.Integer(), nullable=False),
        sa.Column("first_epoch", sa.Integer(), nullable=False),
        sa.Column("epochs", sa.Integer(), nullable=False),
        sa.Column("policy", sa.String(32), nullable=False),
        sa.Column("weights", JSON, nullable=False),
        sa.Column("heads", JSON, nullable=False),
        sa.Column("alternatives", JSON, nullable=False),
        sa.Column("degenerate", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("cost", JSON, nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("job_id", "super_epoch", name="pk_super_epoch"),
        sa.ForeignKeyConstraint(
            ["job_id", "seq"], ["event.job_id", "event.seq"], name="fk_super_epoch_job_id_seq_event", ondelete="CASCADE"
        ),
    )

    op.create_table(
        "metric",
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("seq", sa.BigInteger(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("scope", sa.String(16), nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("head", sa.String(80), nullable=False),
        sa.Column("split", sa.String(16), nullable=False),
        sa.Column("metric", sa.String(32), nullable=False),
        sa.Column("value", sa.Double()),
        sa.Column("se", sa.Double()),
        sa.PrimaryKeyConstraint("job_id", "seq", "position", name="pk_metric"),
        sa.ForeignKeyConstraint(
            ["job_id", "seq"], ["event.job_id", "event.seq"], name="fk_metric_job_id_seq_event", ondelete="CASCADE"
        ),
        sa.UniqueConstraint(
            "job_id", "scope", "head", "split", "metric", "epoch", name="uq_metric_job_id_scope_head_split_metric_epoch"
        ),
    )

    op.create_table(
        "artifact",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.Column("name", sa.String(255), nullable=False),
        sa.Column("kind", sa.String(32), nullable=False),
        sa.Column("bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("uri", sa.Text(), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_artifact"),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_artifact_job_id_job", ondelete="CASCADE"),
        sa.UniqueConstraint("job_id", "name", name="uq_artifact_job_id_name"),
    )


def downgrade() -> None:
    raise forward_only()
