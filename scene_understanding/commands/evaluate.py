"""`evaluate`: a network against a dataset with truth; how near it comes, and what it takes."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from typing import Any

from scene_understanding.commands.output import CommandError
from scene_understanding.commands.scoring import Wish, card_entry, only_for, outputs, seen_through
from scene_understanding.inference.card import record_metrics
from scene_understanding.inference.store import find

TASKS = {
    "segmentation": "segmentation", "depth": "depth", "stereo": "stereo", "keypoints": "keypoints",
    "cloud_segmentation": "clouds",
}  # fmt: skip
"""Tasks of models that can be scored; each has its module `evaluate_...`."""


def evaluate(wish: Wish) -> dict[str, Any]:
    """Scores the network and writes what was asked for.

    Raises:
        CommandError, DatasetError, EvaluationError, ModelError: the wish cannot be met.
    """
    wish = seen_through(wish)
    card = find(wish.model)
    if card.task not in TASKS:
        raise CommandError(f"model '{card.name}' is for {card.task}; only {', '.join(TASKS)} can be evaluated")
    if card.task != "keypoints":
        only_for(wish, card.task, people=None, second_look=0)
    module = _module(card.task)
    report: dict[str, Any] = module.evaluate(wish, card, outputs(wish, card))
    if wish.card:
        record_metrics(card, wish.card, card_entry(wish, report, module.ON_CARD))
    return report


def text(report: Mapping[str, Any]) -> str:
    """For people."""
    lines: str = _module(report["task"]).text(report)
    return lines


def _module(task: str) -> Any:
    return importlib.import_module(f"scene_understanding.commands.evaluate_{TASKS[task]}")
