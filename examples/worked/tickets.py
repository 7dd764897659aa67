"""Support tickets: a text and a few columns. Types `text` and `tabular`.

The text tells the queue by its words, but customers repeat phrases of their own, which a model can learn by heart; the
columns tell a little and hardly overfit.
"""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np

ROWS, CUSTOMERS = 900, 60
_TOPICS = {
    "billing": ["invoice", "charged", "twice", "refund", "card", "payment", "amount", "receipt", "tax", "currency"],
    "technical": ["crash", "error", "freezes", "login", "screen", "update", "install", "slow", "network", "export"],
    "sales": ["upgrade", "quote", "seats", "licence", "discount", "trial", "plan", "renewal", "pricing", "demo"],
}
_FILLER = [
    "please",
    "the",
    "our",
    "since",
    "yesterday",
    "again",
    "we",
    "cannot",
    "today",
    "account",
    "team",
    "help",
    "would",
    "like",
    "to",
    "with",
    "my",
]
_SYLLABLES = ["ka", "lo", "mi", "ran", "tes", "vor", "shi", "del", "pon", "ary"]


def write(folder: Path, seed: int = 0) -> None:
    """`tickets.csv`: id, customer, message, product, hour, attachments, queue."""
    draw = np.random.default_rng(seed)
    phrases = [["".join(draw.choice(_SYLLABLES, 3)) for _ in range(4)] for _ in range(CUSTOMERS)]
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "tickets.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "customer", "message", "product", "hour", "attachments", "queue"])
        for row in range(ROWS):
            queue = list(_TOPICS)[row % 3]
            customer = int(draw.integers(CUSTOMERS))
            about = [
                str(draw.choice(_TOPICS[queue if draw.random() < 0.65 else _other(draw, queue)])) for _ in range(4)
            ]
            words = [*about, *draw.choice(_FILLER, 7), *draw.choice(phrases[customer], 3)]
            draw.shuffle(words)
            hour = int(np.clip(draw.normal({"billing": 10, "technical": 14, "sales": 16}[queue], 3.0), 0, 23))
            attached = int(draw.poisson({"billing": 0.6, "technical": 1.6, "sales": 0.2}[queue]))
            product = str(draw.choice(["app", "cloud", "desktop"], p=[0.5, 0.3, 0.2]))
            writer.writerow([f"t{row:04d}", f"customer {customer}", " ".join(words), product, hour, attached, queue])


def _other(draw: np.random.Generator, queue: str) -> str:
    return str(draw.choice([name for name in _TOPICS if name != queue]))
