"""What is shipped: package list, data, ROS package, parameter files, launch files, views."""

from __future__ import annotations

import ast
import json
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

import pytest
import yaml

from scene_understanding.commands.catalogue import NODES, node_type, parameter_file
from scene_understanding.nodes.node import ConfigurationError
from scene_understanding.nodes.parameters import describe, from_mapping, values_from_yaml

tomllib = pytest.importorskip("tomllib", reason="tomllib comes with Python 3.11")

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
COMPOSITION = ROOT / "config" / "exploration.yaml"
DATA_PACKAGES = {f"scene_understanding.{name}" for name in ("config", "launch", "msg_definitions")}


def test_every_package_is_listed() -> None:
    found = {".".join(path.parent.relative_to(ROOT).parts) for path in ROOT.glob("scene_understanding/**/__init__.py")}
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == found | DATA_PACKAGES


def test_every_folder_with_modules_is_a_package() -> None:
    folders = {path.parent for path in ROOT.glob("scene_understanding/**/*.py")}
    assert not [str(folder) for folder in folders if not (folder / "__init__.py").is_file()]


def test_no_msg_folder_of_our_own() -> None:
    """rosidl generates scene_understanding.msg; ours would hide it, or be hidden."""
    assert not (ROOT / "scene_understanding" / "msg").exists()


def test_versions_and_licences_agree() -> None:
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert package.findtext("version") == PROJECT["project"]["version"]
    assert package.findtext("license") == PROJECT["project"]["license"] == "Apache-2.0"
    assert "Apache License" in (ROOT / "LICENSE").read_text()


def test_cmake_generates_every_interface() -> None:
    text = (ROOT / "CMakeLists.txt").read_text()
    assert set(re.findall(r'"(msg/\w+\.msg)"', text)) == {f"msg/{path.name}" for path in ROOT.glob("msg/*.msg")}


def test_cmake_installs_every_node() -> None:
    """`ros2 run` finds what `scene-understanding run` knows."""
    text = (ROOT / "CMakeLists.txt").read_text()
    installed = {
        name: f"scene_understanding.nodes.{name}:{c}" for name, c in re.findall(r"install_node\((\w+) (\w+)\)", text)
    }
    assert installed == NODES


def test_message_packages_are_dependencies() -> None:
    """Packages that our .msg files name, in CMakeLists.txt and package.xml."""
    named = set(re.findall(r"^(\w+)/", "\n".join(p.read_text() for p in ROOT.glob("msg/*.msg")), re.MULTILINE))
    cmake = (ROOT / "CMakeLists.txt").read_text()
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    depends = {element.text for element in package.findall("depend")}
    assert named and named <= depends
    assert all(f"find_package({name} REQUIRED)" in cmake for name in named)


def test_imported_distributions_are_declared() -> None:
    """Third-party modules that the core imports at module level are core dependencies."""
    names = {"cv2": "opencv-python", "yaml": "pyyaml", "backports": "backports.zstd"}
    declared = {re.split(r"[<>=;~ ]", entry)[0] for entry in PROJECT["project"]["dependencies"]}
    optional = {"torch", "onnx", "safetensors", "rclpy", "carla", "matplotlib", "tensorrt", "lifecycle_msgs", "h5py"}
    optional |= {"launch", "launch_ros", "rcl_interfaces", "ament_index_python"}
    missing = set()
    for path in ROOT.glob("scene_understanding/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            modules = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                modules = [node.module or ""]
            for module in {module.split(".")[0] for module in modules}:
                own = module == "scene_understanding" or module in sys.stdlib_module_names
                if not own and module not in optional and names.get(module, module) not in declared:
                    missing.add(f"{path.relative_to(ROOT)}: {module}")
    assert not missing


@pytest.mark.parametrize("path", sorted(set(ROOT.glob("config/*.yaml")) - {COMPOSITION}), ids=lambda path: path.name)
def test_parameter_files_hold_the_defaults(path: Path) -> None:
    """They are made by `scene-understanding params NODE --yaml`; make them again when this fails."""
    assert path.stem in NODES
    assert path.read_text().rstrip() == parameter_file(path.stem)
    parameters = node_type(path.stem).parameters_type
    for name in (f"/{path.stem}", f"/robot1/{path.stem}", f"/a/b/{path.stem}"):
        assert from_mapping(parameters, values_from_yaml(path, name)) == parameters()
    assert values_from_yaml(path, "/another") == {}


def test_parameters_of_the_composition_differ_from_the_defaults() -> None:
    """The file of several nodes: `exploration` with all that it has, of the others only what is different here."""
    assert COMPOSITION.read_text().startswith(parameter_file("exploration"))
    nodes = {key.rpartition("/")[2] for key in yaml.safe_load(COMPOSITION.read_text())}
    assert {"exploration"} < nodes <= set(NODES)
    for name in nodes - {"exploration"}:
        values, defaults = values_from_yaml(COMPOSITION, f"/robot1/{name}"), asdict(node_type(name).parameters_type())
        parameters = asdict(from_mapping(node_type(name).parameters_type, values))
        assert values and all(parameters[key] != defaults[key] for key in values)


@pytest.mark.parametrize("path", sorted(ROOT.glob("launch/*.launch.py")), ids=lambda path: path.name)
def test_launch_files_name_what_exists(path: Path) -> None:
    constants = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
    node = path.name.removesuffix(".launch.py")
    assert node in NODES
    assert f"{node}.yaml" in constants
    assert (ROOT / "config" / f"{node}.yaml").is_file()


def topics(name: str) -> set[str]:
    """Of a node, with each of its parameters at each of its choices."""
    kind, found = node_type(name), set()
    values: list[dict[str, object]] = [{}]
    for p in describe(kind.parameters_type).values():
        values += [{p.name: choice} for choice in (p.choices or ((True, False) if p.type is bool else ()))]
    for value in values:
        with suppress(ConfigurationError):  # a choice that does not go with the other defaults
            node = kind(from_mapping(kind.parameters_type, value))
            found |= {i.topic for entry in node.inputs for i in getattr(entry, "inputs", (entry,))}
            found |= {output.topic for output in node.outputs}
    return found


@pytest.mark.parametrize("path", sorted(ROOT.glob("launch/*.launch.py")), ids=lambda path: path.name)
def test_launch_files_remap_topics_of_their_nodes(path: Path) -> None:
    tree = list(ast.walk(ast.parse(path.read_text())))
    pairs = [node.elts for node in tree if isinstance(node, ast.Tuple) and len(node.elts) == 2]
    remapped = {first.value for first, _ in pairs if isinstance(first, ast.Constant)}
    started = [node.args[0] for node in tree if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "node"]
    names = [ast.literal_eval(name) for name in started] or [path.name.removesuffix(".launch.py")]
    assert remapped
    assert {re.sub("/compressed(Depth)?$", "", topic) for topic in remapped} <= set.union(*map(topics, names))


def test_views_show_topics_of_ours() -> None:
    rviz = yaml.safe_load((ROOT / "config/scene_understanding.rviz").read_text())
    displays = rviz["Visualization Manager"]["Displays"]
    shown = {display["Topic"]["Value"] for display in displays if "Topic" in display}
    layout = json.loads((ROOT / "config/foxglove_layout.json").read_text())
    for panel in layout["configById"].values():
        shown |= {*panel.get("topics", {}), panel.get("imageMode", {}).get("imageTopic")} - {None}
    published = {
        f"/{name}{output.topic[1:]}" if output.topic.startswith("~") else f"/{output.topic.lstrip('/')}"
        for name in NODES
        for output in node_type(name)().outputs
    }
    assert "/segmentation/points" in shown
    assert shown <= published


def layout_leaves(node: object) -> set[str]:
    if isinstance(node, dict):
        return layout_leaves(node["first"]) | layout_leaves(node["second"])
    return {str(node)}


def test_foxglove_layout_places_every_panel_once() -> None:
    layout = json.loads((ROOT / "config/foxglove_layout.json").read_text())
    assert layout_leaves(layout["layout"]) == set(layout["configById"])


@pytest.mark.slow
def test_wheel_holds_what_a_robot_needs(tmp_path: Path) -> None:
    """Builds the wheel and looks into it; then imports from it alone."""
    leave = shutil.ignore_patterns(".*", "build", "install", "log", "out", "runs", "*.egg-info", "__pycache__")
    source = shutil.copytree(ROOT, tmp_path / "source", ignore=leave)
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--wheel-dir", str(tmp_path), str(source)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "site")
    wanted = [
        "config/depth.yaml",
        "config/exploration.yaml",
        "config/keypoints.yaml",
        "config/segmentation.yaml",
        "config/semantic_map.yaml",
        "config/training/fusenet_folder.yaml",
        "launch/depth.launch.py",
        "launch/exploration.launch.py",
        "launch/keypoints.launch.py",
        "launch/segmentation.launch.py",
        "msg_definitions/People.msg",
    ]
    wanted += [str(p.relative_to(ROOT / "scene_understanding"))
               for pattern in ("**/*.py", "**/*.yaml", "**/*.msg", "**/*.srv", "**/*.txt", "networks/*/model.onnx")
               for p in (ROOT / "scene_understanding").glob(pattern)]  # fmt: skip
    assert {f"scene_understanding/{name}" for name in wanted} <= names
    assert not [name for name in names if name.startswith(("test/", "bench/", "docs/"))]
    code = (
        "import scene_understanding.messages.types as t, scene_understanding.inference.store as s;"
        "print(t.own_definitions()); print(*s.shipped())"
    )
    environment = {"PYTHONPATH": str(tmp_path / "site")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, env=environment)
    assert done.returncode == 0, done.stderr
    assert str(tmp_path / "site") in done.stdout
