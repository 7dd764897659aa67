"""Experiments: strategies x seeds of one job.

Revises: 0001
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.persistence.schema import forward_only

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "experiment",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("name", sa.String(200)),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_experiment"),
        sa.UniqueConstraint("project", "idempotency_key", name="uq_experiment_project_idempotency_key"),
    )
    op.create_index("ix_experiment_project_id", "experiment", ["project", "id"])

    op.create_table(
        "experiment_job",
        sa.Column("experiment_id", sa.String(40), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("strategy", sa.String(100), nullable=False),
        sa.Column("seed", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.String(40), nullable=False),
        sa.PrimaryKeyConstraint("experiment_id", "position", name="pk_experiment_job"),
        sa.ForeignKeyConstraint(
            ["experiment_id"],
            ["experiment.id"],
            name="fk_experiment_job_experiment_id_experiment",
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(["job_id"], ["job.id"], name="fk_experiment_job_job_id_job", ondelete="CASCADE"),
        sa.UniqueConstraint(
            "experiment_id", "strategy", "seed", name="uq_experiment_job_experiment_id_strategy_seed"
        ),
        sa.UniqueConstraint("job_id", name="uq_experiment_job_job_id"),
    )


def downgrade() -> None:
    raise forward_only()
