"""The commands that cards say: they can be given."""

from __future__ import annotations

import shlex
from dataclasses import replace
from typing import Any

import pytest
import typer

from scene_understanding.commands.learning import train_app
from scene_understanding.inference.store import find, shipped
from scene_understanding.training.cloud_config import CloudConfig
from scene_understanding.training.cloud_data import check_cloud_data
from scene_understanding.training.model_card import command_of
from scene_understanding.training.presets import find_config


@pytest.mark.parametrize("name", shipped())
def test_the_command_of_a_shipped_network_can_be_given(name: str) -> None:
    """Its options are those of the command, and data that is made from seeds has no place."""
    program, train, task, *options = shlex.split(find(name).training["command"])
    assert (program, train) == ("scene-understanding", "train")
    group: Any = typer.main.get_command(train_app)
    given = group.commands[task].make_context(task, options).params
    config = find_config(given["config"])
    if isinstance(config, CloudConfig):
        check_cloud_data(replace(config, data=given["data"] or config.data))


@pytest.mark.parametrize("name", ["snapnet_embedded13", "snapnet_rubble4"])
def test_clouds_from_seeds_have_no_place_in_the_command(name: str) -> None:
    config = find_config(name)
    assert command_of(config) == f"scene-understanding train clouds --config {name}"
    check_cloud_data(config)


def test_clouds_in_files_have_a_place_in_the_command() -> None:
    config = replace(find_config("snapnet_oakland5"), data="oakland3d:/home/me/tiles")
    assert command_of(config) == "scene-understanding train clouds --config snapnet_oakland5 --data oakland3d:DIR"
