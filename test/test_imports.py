"""The import arrows of the design: who may import whom, who may need torch, and what loading a node must not load."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = "scene_understanding"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE

BELOW_NODES = {"geometry", "labels", "inference", "perception", "mapping", "messages"}
# A part of ours (folder or top-level module) to what it may import besides itself; "a.b" allows that one module.
ARROWS: dict[str, set[str]] = {
    "geometry": set(),
    "labels": set(),
    "models": set(),
    "inference": {"labels"},
    "perception": {"geometry", "inference", "labels"},
    "mapping": {"geometry", "labels"},
    "messages": {"geometry", "labels"},
    "simulation": {"geometry", "labels", "mapping.grid", "mapping.path_follower"},
    "nodes": BELOW_NODES
    | {"simulation", "evaluation.depth_metrics", "evaluation.keypoint_metrics", "evaluation.segmentation_metrics"},
    "hosts": {"nodes.node", "nodes.parameters", "messages", "geometry"},
    "evaluation": {"models", "perception", "geometry", "labels", "inference", "messages", "datasets"},
    "datasets": {"models", "perception", "geometry", "labels", "messages", "hosts", "simulation"},
    "training": {"models", "perception", "geometry", "labels", "inference", "datasets", "evaluation"},
    "commands": BELOW_NODES | {"simulation", "nodes", "hosts", "datasets", "evaluation", "training"},
    "cli": BELOW_NODES | {"simulation", "nodes", "hosts", "datasets", "evaluation", "training", "commands"},
}
TORCH = {"models", "training", "evaluation", "datasets"}
FOREIGN = {"torch", "onnx", "safetensors", "rclpy", "carla", "matplotlib", "open3d", "onnxruntime", "cyclonedds", "cv2"}


def parts() -> dict[Path, str]:
    """Every module file with its part: its folder, or the module itself at the top."""
    found = {}
    for path in sorted(ROOT.rglob("*.py")):
        first = path.relative_to(ROOT).parts[0].removesuffix(".py")
        if first != "__init__":
            found[path] = first
    return found


def imported(path: Path) -> set[str]:
    """Full names of the modules that a file imports, wherever in the file; `from a import b` counts as `a.b`."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            if node.level:
                package = (PACKAGE, *path.relative_to(ROOT).parts[: -node.level])
                module = ".".join([*package, *filter(None, [module])])
            names |= {f"{module}.{alias.name}" for alias in node.names}
    return names


def test_every_part_has_arrows() -> None:
    unknown = set(parts().values()) - set(ARROWS)
    assert not unknown, f"say in ARROWS what these may import: {sorted(unknown)}"


@pytest.mark.parametrize("part", sorted(ARROWS))
def test_imports_of_ours_follow_the_arrows(part: str) -> None:
    wrong = []
    for path, own in parts().items():
        if own != part:
            continue
        for name in imported(path):
            if not name.startswith(f"{PACKAGE}."):
                continue
            inner = name.removeprefix(f"{PACKAGE}.")
            target = inner.split(".")[0]
            allowed = target in ARROWS[part] | {part} or any(f"{inner}.".startswith(f"{a}.") for a in ARROWS[part])
            if not allowed:
                wrong.append(f"{path.relative_to(ROOT)} imports {inner}")
    assert not wrong


def test_geometry_and_labels_need_numpy_only() -> None:
    wrong = [
        f"{path.relative_to(ROOT)} imports {name}"
        for path, part in parts().items()
        if part in ("geometry", "labels")
        for name in imported(path)
        if name.split(".")[0] in FOREIGN
    ]
    assert not wrong


@pytest.mark.parametrize(
    ("module", "allowed"),
    [
        ("torch", TORCH),
        ("carla", {"simulation"}),
        ("rclpy", {"hosts"}),
        ("cyclonedds", {"hosts"}),
        ("onnxruntime", {"inference", "training", "commands"}),
    ],
)
def test_heavy_module_stays_in_its_part(module: str, allowed: set[str]) -> None:
    wrong = [
        str(path.relative_to(ROOT))
        for path, part in parts().items()
        if part not in allowed and any(name.split(".")[0] == module for name in imported(path))
    ]
    assert not wrong


def loaded_after_importing(modules: list[str]) -> set[str]:
    """Which of FOREIGN a fresh interpreter has loaded after importing the modules."""
    code = f"import sys\nfor name in {modules!r}: __import__(name)\nprint(*set({sorted(FOREIGN)!r}) & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


def modules_of(*wanted: str) -> list[str]:
    relative = [path.relative_to(ROOT.parent).with_suffix("") for path, part in parts().items() if part in wanted]
    return [".".join(path.parts).removesuffix(".__init__") for path in relative]


def test_core_loads_without_torch_or_ros() -> None:
    core = modules_of("geometry", "labels", "inference", "perception", "mapping", "messages", "nodes")
    assert not loaded_after_importing(core) & {"torch", "onnx", "safetensors", "rclpy", "carla", "matplotlib"}


def test_nodes_and_cli_load_nothing_heavy() -> None:
    assert not loaded_after_importing(modules_of("nodes", "cli", "commands")) & {
        "torch",
        "open3d",
        "rclpy",
        "carla",
        "matplotlib",
    }


def test_simulation_loads_without_torch() -> None:
    assert not loaded_after_importing(modules_of("simulation")) & {"torch", "rclpy"}
