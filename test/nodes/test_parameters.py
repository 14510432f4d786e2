from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from scene_understanding.nodes.parameters import (
    NoParameters,
    ParameterError,
    describe,
    from_mapping,
    parameter,
    replaced,
    values_from_yaml,
    yaml_value,
)


@dataclass(frozen=True)
class Parameters:
    model: str = parameter("small", "which network", choices=("small", "large"))
    threshold: float = parameter(0.5, "lowest confidence", bounds=(0.0, 1.0), runtime=True)
    width: int = parameter(320, "pixels", bounds=(32, 4096))
    flip: bool = parameter(False, "mirror the image", runtime=True)
    classes: tuple[str, ...] = parameter((), "names of classes to keep", runtime=True)
    range: tuple[float, ...] = parameter((0.3, 5.0), "nearest and farthest, metres", bounds=(0.0, 100.0))


def test_describe_shows_what_a_user_needs() -> None:
    described = describe(Parameters)
    assert list(described) == ["model", "threshold", "width", "flip", "classes", "range"]
    threshold = described["threshold"]
    assert (threshold.type, threshold.default, threshold.bounds) == (float, 0.5, (0.0, 1.0))
    assert (threshold.description, threshold.runtime) == ("lowest confidence", True)
    assert describe(NoParameters) == {}


def test_what_is_not_given_keeps_its_default() -> None:
    assert from_mapping(Parameters, {}) == Parameters()
    assert from_mapping(Parameters, {"width": 64, "classes": ["chair"]}) == Parameters(width=64, classes=("chair",))


def test_a_whole_number_is_taken_for_a_float() -> None:
    parameters = from_mapping(Parameters, {"threshold": 1, "range": [0, 4.5]})
    assert parameters.threshold == 1.0 and isinstance(parameters.threshold, float)
    assert parameters.range == (0.0, 4.5) and isinstance(parameters.range[0], float)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"treshold": 0.1}, "unknown parameter 'treshold'; did you mean threshold?"),
        ({"zzz": 1}, "unknown parameter 'zzz'; known: model, threshold"),
        ({"threshold": 1.5}, "parameter 'threshold' is 1.5; allowed is 0.0 to 1.0"),
        ({"threshold": float("nan")}, "parameter 'threshold' is nan; allowed is 0.0 to 1.0"),
        ({"threshold": "high"}, "parameter 'threshold' is 'high' (str); expected float"),
        ({"threshold": True}, "parameter 'threshold' is True (bool); expected float"),
        ({"width": 64.0}, "parameter 'width' is 64.0 (float); expected int"),
        ({"width": True}, "parameter 'width' is True (bool); expected int"),
        ({"flip": 1}, "parameter 'flip' is 1 (int); expected bool"),
        ({"flip": None}, "parameter 'flip' is None (NoneType); expected bool"),
        ({"model": "huge"}, "parameter 'model' is 'huge'; allowed is one of: small, large"),
        ({"classes": "chair"}, "parameter 'classes' is 'chair' (str); expected a list"),
        ({"classes": ["chair", 3]}, "parameter 'classes' is 3 (int); expected str"),
        ({"range": [0.1, 500]}, "parameter 'range' is 500.0; allowed is 0.0 to 100.0"),
    ],
)
def test_a_wrong_value_is_told_with_what_would_be_right(values: dict, said: str) -> None:
    with pytest.raises(ParameterError) as error:
        from_mapping(Parameters, values)
    assert said in str(error.value)


def test_only_runtime_parameters_change_later() -> None:
    parameters = Parameters()
    assert replaced(parameters, {"threshold": 0.9, "flip": True}) == Parameters(threshold=0.9, flip=True)
    with pytest.raises(ParameterError, match="'width' can only be set at start"):
        replaced(parameters, {"threshold": 0.9, "width": 64})
    with pytest.raises(ParameterError, match="unknown parameter 'nothing'"):
        replaced(parameters, {"nothing": 1})


@settings(deadline=None)
@given(st.floats(0, 1), st.integers(32, 4096), st.booleans(), st.lists(st.text(max_size=9), max_size=4))
def test_values_survive_the_way_through_a_mapping(threshold: float, width: int, flip: bool, classes: list) -> None:
    parameters = Parameters(threshold=threshold, width=width, flip=flip, classes=tuple(classes))
    assert from_mapping(Parameters, parameters.__dict__) == parameters


FILE = """
/**:
  ros__parameters: {width: 1, everywhere: yes}
/*:
  ros__parameters: {width: 2, one_level: 1e-3}
segmentation:
  ros__parameters:
    width: 3
    nested: {deep: {er: [1, 2]}, name: x}
/robot/segmentation:
  ros__parameters: {width: 4}
robot:
  depth:
    ros__parameters: {width: 5}
  "**":
    ros__parameters: {last: true}
"""


@pytest.mark.parametrize(
    ("node", "expected"),
    [
        ("/other", {"width": 2, "everywhere": True, "one_level": 0.001}),
        ("/a/b", {"width": 1, "everywhere": True}),
        ("/segmentation", {"width": 3, "everywhere": True, "one_level": 0.001, "nested.deep.er": [1, 2],
                           "nested.name": "x"}),
        ("/robot/segmentation", {"width": 4, "everywhere": True, "last": True}),
        ("/robot/depth", {"width": 5, "everywhere": True, "last": True}),
    ],
)  # fmt: skip
def test_sections_of_a_parameter_file(tmp_path: Path, node: str, expected: dict) -> None:
    path = tmp_path / "parameters.yaml"
    path.write_text(FILE)
    assert values_from_yaml(path, node) == expected


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        (b"a: [1", "is not YAML"),
        (b"\xff\xfe\x00", "parameter file"),
        (b"- 1", "expected a mapping of node names"),
        (b"n: {ros__parameters: 3}", "ros__parameters of '/n' is not a mapping"),
    ],
)
def test_a_bad_parameter_file_is_one_clear_line(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "parameters.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(ParameterError) as error:
        values_from_yaml(path, "/n")
    assert said in str(error.value) and str(path) in str(error.value) and "\n" not in str(error.value)


@settings(deadline=None)
@given(st.floats(allow_nan=False), st.sampled_from(["{!r}", "{:e}", "{:g}"]))
def test_numbers_as_they_are_usually_written(value: float, form: str) -> None:
    text = form.format(value)
    if text.lstrip("-") == "inf":
        text = text.replace("inf", ".inf")
    assert yaml_value(text) == pytest.approx(float(text.replace(".inf", "inf")))
