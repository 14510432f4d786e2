"""Finds models: those shipped in the package by name, a user's by the path of their folder."""

from __future__ import annotations

from pathlib import Path

from scene_understanding.inference.card import ModelCard, ModelError, read_card

SHIPPED = Path(__file__).resolve().parent.parent / "networks"


def shipped() -> list[str]:
    """Names of the models in the package, sorted."""
    return sorted(path.parent.name for path in SHIPPED.glob("*/model.yaml"))


def find(model: str | Path) -> ModelCard:
    """The card of a shipped model by name, or of a folder that holds a model.yaml.

    Raises:
        ModelError: there is no such model, or it is damaged.
    """
    if str(model) in shipped():
        return read_card(SHIPPED / model)
    path = Path(model).expanduser()
    if path.name == "model.yaml":
        path = path.parent
    if not path.is_dir():
        raise ModelError(f"no model '{model}': shipped are {', '.join(shipped())}; or give a folder with a model.yaml")
    return read_card(path)
