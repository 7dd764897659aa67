"""Registered data sets.

Revises: 0003
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from core.persistence.schema import forward_only

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

JSON = sa.JSON(none_as_null=True)


def upgrade() -> None:
    op.create_table(
        "dataset",
        sa.Column("id", sa.String(40), nullable=False),
        sa.Column("project", sa.String(64), nullable=False),
        sa.Column("spec", JSON, nullable=False),
        sa.Column("fingerprint", sa.String(80), nullable=False),
        sa.Column("statistics", JSON, nullable=False),
        sa.Column("warnings", JSON, nullable=False),
        sa.Column("idempotency_key", sa.String(255)),
        sa.Column("body_digest", sa.String(80), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_dataset"),
        sa.UniqueConstraint("project", "idempotency_key", name="uq_dataset_project_idempotency_key"),
    )
    op.create_index("ix_dataset_project_id", "dataset", ["project", "id"])


def downgrade() -> None:
    raise forward_only()
