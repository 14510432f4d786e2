from pathlib import Path

import pytest
from hypothesis import given, strategies as st

from scene_understanding.hosts.names import NamingError, NodeNames, Remapping, RosArguments
from scene_understanding.nodes.parameters import ParameterError

TOKEN = st.from_regex(r"[a-z][a-z0-9_]{0,8}", fullmatch=True)
PATH = st.lists(TOKEN, min_size=1, max_size=4).map("/".join)


@pytest.mark.parametrize(
    ("topic", "absolute"),
    [("image", "/robot/image"), ("rgb/image", "/robot/rgb/image"), ("~/mask", "/robot/seg/mask"), ("/tf", "/tf")],
)
def test_topics_are_resolved_in_the_namespace(topic: str, absolute: str) -> None:
    assert NodeNames("seg", "/robot").resolve(topic) == absolute


def test_without_a_namespace() -> None:
    names = NodeNames("seg")
    assert names.fully_qualified == "/seg"
    assert (names.resolve("image"), names.resolve("~/mask")) == ("/image", "/seg/mask")


@given(PATH, PATH, TOKEN)
def test_an_absolute_name_is_itself_and_any_name_becomes_absolute(topic: str, namespace: str, node: str) -> None:
    names = NodeNames(node, "/" + namespace)
    assert names.resolve("/" + topic) == "/" + topic
    assert names.resolve(topic) == f"/{namespace}/{topic}"
    assert names.resolve(names.resolve("~/" + topic)) == f"/{namespace}/{node}/{topic}"


@pytest.mark.parametrize("topic", ["", "/", "a//b", "a/", "1a", "a b", "a/2", "~x", "a-b", "/a/", "~/"])
def test_names_that_ros_does_not_allow(topic: str) -> None:
    with pytest.raises(NamingError, match="not a valid topic name"):
        NodeNames("n").resolve(topic)


def names(*rules: str, node: str = "seg") -> NodeNames:
    return RosArguments.of(remappings=rules).names(node)


def test_the_first_matching_rule_wins_and_is_not_remapped_again() -> None:
    resolved = names("image:=/camera/color", "image:=/other", "/camera/color:=/third")
    assert resolved.resolve("image") == "/camera/color"
    assert resolved.resolve("depth") == "/depth"


def test_rules_are_expanded_in_the_namespace_and_may_be_private() -> None:
    resolved = names("__ns:=/r1", "image:=camera", "~/mask:=~/labels", "/r1/points:=/cloud")
    assert resolved.fully_qualified == "/r1/seg"
    assert resolved.resolve("image") == "/r1/camera"
    assert resolved.resolve("/image") == "/image"
    assert resolved.resolve("~/mask") == "/r1/seg/labels"
    assert resolved.resolve("points") == "/cloud"


def test_a_node_is_renamed_under_its_own_name_then_found_under_the_new_one() -> None:
    resolved = names("seg:__node:=eye", "eye:__ns:=/left", "eye:image:=/a", "seg:image:=/b")
    assert resolved.fully_qualified == "/left/eye"
    assert resolved.resolve("image") == "/a"
    assert names("__name:=old").name == "old"


def test_rules_for_another_node_do_nothing() -> None:
    resolved = names("depth:image:=/a", "depth:__node:=x")
    assert (resolved.name, resolved.resolve("image")) == ("seg", "/image")


@pytest.mark.parametrize("rule", ["image", "image=x", ":=x", "image:=", "a:b:c:=d", ""])
def test_a_rule_of_another_form_is_told(rule: str) -> None:
    with pytest.raises(NamingError, match="is not of the form from:=to"):
        Remapping.parse(rule)


@pytest.mark.parametrize("rule", ["__node:=1x", "__node:=a/b", "__ns:=robot", "__ns:=/a//b", "image:=/a b"])
def test_a_rule_to_a_bad_name_is_told(rule: str) -> None:
    with pytest.raises(NamingError, match="not a valid"):
        names(rule).resolve("image")


def test_command_line() -> None:
    arguments, rest = RosArguments.parse(
        ["--json", "--ros-args", "-r", "a:=b", "-p", "x:=1e-3", "--params-file", "f.yaml", "--param", "seg:y.z:=[1, 2]",
         "--remap", "__ns:=/r", "--log-level", "seg:=DEBUG", "--", "bag.mcap", "--ros-args", "-p", "x:=no"]
    )  # fmt: skip
    assert rest == ["--json", "bag.mcap"]
    assert arguments.remappings == (Remapping("a", "b"), Remapping("__ns", "/r"))
    assert arguments.parameters == ((None, "x", 0.001), "f.yaml", ("seg", "y.z", [1, 2]), (None, "x", False))
    assert arguments.log_level == "debug"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["-x", "1"], "unknown ROS argument '-x'; known: -r, --remap"),
        (["-r"], "ROS argument '-r' lacks its value"),
        (["-p", "x=1"], "parameter 'x=1' is not of the form name:=value"),
        (["-p", "x:=[1"], "parameter 'x:=[1': '[1' is not YAML"),
    ],
)
def test_a_wrong_argument_is_told(words: list[str], said: str) -> None:
    with pytest.raises(NamingError) as error:
        RosArguments.parse(["--ros-args", *words])
    assert said in str(error.value)


def test_later_parameters_win_and_others_nodes_do_not_count(tmp_path: Path) -> None:
    path = tmp_path / "p.yaml"
    path.write_text("seg: {ros__parameters: {a: file, b: file}}")
    arguments, _ = RosArguments.parse(
        ["--ros-args", "-p", "a:=before", "--params-file", str(path), "-p", "b:=after", "-p", "depth:b:=other"]
    )
    assert arguments.parameter_values(arguments.names("seg")) == {"a": "file", "b": "after"}
    with pytest.raises(ParameterError, match="nowhere"):
        RosArguments.of(files=["nowhere.yaml"]).parameter_values(NodeNames("seg"))
