"""`doctor`: what is installed here, what of it really works, and what to do about the rest.

Modules are imported in processes of their own: a wheel that crashes the interpreter, or that lacks a system library,
becomes a line of the report.
"""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from scene_understanding.commands.output import table

MODULES = {
    "numpy": "numpy",
    "cv2": "opencv-python",
    "open3d": "open3d",
    "scipy": "scipy",
    "rosbags": "rosbags",
    "onnxruntime": "onnxruntime",
    "cyclonedds": "cyclonedds",
    "torch": "torch",
    "tensorrt": "tensorrt",
    "rclpy": "rclpy",
    "carla": "carla",
}
"""Import name to the name for pip."""

NEEDED = ("numpy", "cv2", "scipy", "rosbags", "onnxruntime")
IMPORT_TIMEOUT = 120  # seconds; the first import of a large wheel from a slow disk
WANTED_RMEM = 8 * 1024 * 1024

DOUBLING_NETWORK = bytes.fromhex(
    "08083a350a0e0a01780a017812017922034164641201675a0f0a0178120a0a08080112040a020804620f0a0179120a0a08080112040a02080"
    "442040a00100d"
)
"""An ONNX file: y = x + x, float32 of shape (4)."""

TRY_RCLPY = (
    "import os, rclpy\nfrom rclpy.node import Node\nrclpy.init()\nnode = Node('scene_understanding_doctor')\n"
    "print(rclpy.get_rmw_implementation_identifier())\nnode.destroy_node()\nrclpy.shutdown()\n"
)


def examine() -> dict[str, Any]:
    """The whole report; `ok` says that at least one live host, the bag host and a network provider work."""
    modules = {name: _module(name) for name in MODULES}
    providers = _providers()
    hosts = {"bag": _attempt(_try_bag), "dds": _attempt(_try_dds), "ros2": _try_ros2(modules)}
    report: dict[str, Any] = {
        "ok": False,
        "system": _system(),
        "modules": modules,
        "ros_distro": os.environ.get("ROS_DISTRO"),
        "hosts": hosts,
        "providers": providers,
        "models": _models(),
    }
    live = hosts["dds"]["works"] or hosts["ros2"]["works"]
    report["ok"] = bool(live and hosts["bag"]["works"] and any(p["works"] for p in providers.values()))
    report["advice"] = _advice(report)
    return report


def _system() -> dict[str, Any]:
    rmem_max = Path("/proc/sys/net/core/rmem_max")
    return {
        "platform": platform.platform(),
        "machine": platform.machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "python": platform.python_version(),
        "executable": sys.executable,
        "rmem_max": int(rmem_max.read_text()) if rmem_max.is_file() else None,
    }


def _module(name: str) -> dict[str, Any]:
    """Version (None where not installed) and, where it cannot be imported, why."""
    if find_spec(name) is None:
        return {"version": None, "works": False, "detail": "not installed"}
    works, detail = _python(f"import {name}")
    return {"version": _version(name), "works": works, "detail": detail}


def _version(name: str) -> str:
    for distribution in (MODULES[name], name, f"{name}-gpu", f"{MODULES[name]}-headless"):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return "unknown"


def _python(code: str) -> tuple[bool, str]:
    """Whether a fresh interpreter runs the code, and its last line of output or of the error."""
    try:
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=IMPORT_TIMEOUT)
    except subprocess.TimeoutExpired:
        return False, f"no end after {IMPORT_TIMEOUT} s"
    lines = (done.stdout if done.returncode == 0 else done.stderr).strip().splitlines()
    if done.returncode < 0:
        return False, f"the interpreter was ended by signal {-done.returncode}"
    return done.returncode == 0, lines[-1] if lines else ""


def _attempt(work: Callable[[], str]) -> dict[str, Any]:
    """Runs a check; whatever it raises is the finding."""
    try:
        return {"works": True, "detail": work()}
    except Exception as error:
        return {"works": False, "detail": " ".join(f"{type(error).__name__}: {error}".split())}


def _try_bag() -> str:
    """Writes a message to a bag and reads it back."""
    import tempfile

    from scene_understanding.hosts.bag_reader import BagReader
    from scene_understanding.hosts.mcap_writer import McapWriter
    from scene_understanding.messages.header import make_header
    from scene_understanding.messages.types import deserialize, serialize

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "doctor.mcap"
        with McapWriter(path) as writer:
            topic = writer.add_topic("/doctor", "std_msgs/msg/Header")
            writer.write(topic, 1, serialize(make_header(1, "doctor")))
        with BagReader(path) as reader:
            frames = [deserialize(found.data, found.type).frame_id for found in reader.messages()]
    if frames != ["doctor"]:
        raise RuntimeError(f"wrote one message, read {frames}")
    return "wrote and read a bag"


def _try_dds() -> str:
    """Joins the DDS domain that the environment names."""
    from scene_understanding.hosts.dds import DdsTransport
    from scene_understanding.hosts.dds_settings import settings_from_environment

    settings = settings_from_environment()
    DdsTransport(settings).close()
    return f"joined domain {settings.domain_id}"


def _try_ros2(modules: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if not modules["rclpy"]["works"]:
        return {"works": False, "detail": f"rclpy: {modules['rclpy']['detail']}"}
    works, detail = _python(TRY_RCLPY)
    return {"works": works, "detail": f"made a node with {detail}" if works else detail}


def _providers() -> dict[str, dict[str, Any]]:
    """Runs a tiny network with each of ONNX Runtime's providers."""
    try:
        import onnxruntime
    except ImportError as error:
        return {"cpu": {"works": False, "detail": str(error)}}
    from scene_understanding.inference.onnx_runtime import PROVIDERS

    available = onnxruntime.get_available_providers()
    onnxruntime.set_default_logger_severity(4)  # a provider that does not start would write a page of its own
    return {
        name: _attempt(lambda provider=provider: _try_provider(provider))  # type: ignore[misc]
        if provider in available
        else {"works": False, "detail": "not in this ONNX Runtime"}
        for name, provider in PROVIDERS.items()
    }


def _try_provider(provider: str) -> str:
    import onnxruntime

    session = onnxruntime.InferenceSession(DOUBLING_NETWORK, providers=[provider])
    if session.get_providers()[0] != provider:
        raise RuntimeError(f"ONNX Runtime fell back to {session.get_providers()[0]}")
    x = np.arange(4, dtype=np.float32)
    started = time.perf_counter()
    (y,) = session.run(None, {"x": x})
    if not np.array_equal(y, 2 * x):
        raise RuntimeError(f"the network gave {y.tolist()} for {x.tolist()}")
    return f"ran a network in {(time.perf_counter() - started) * 1e3:.2f} ms"


def _models() -> list[str]:
    from scene_understanding.inference.store import shipped

    return shipped()


def _advice(report: dict[str, Any]) -> list[str]:
    """What to do, most important first."""
    modules, hosts, system = report["modules"], report["hosts"], report["system"]
    advice = [f"{name} is needed: pip install {MODULES[name]}" for name in NEEDED if modules[name]["version"] is None]
    advice += [
        f"{name} is installed but cannot be imported: {found['detail']}"
        for name, found in modules.items()
        if found["version"] is not None and not found["works"]
    ]
    if not hosts["dds"]["works"]:
        install = modules["cyclonedds"]["version"] is None
        advice.append("for the dds host: " + ("pip install cyclonedds" if install else hosts["dds"]["detail"]))
    setups = sorted(Path("/opt/ros").glob("*/setup.bash"))
    if modules["rclpy"]["version"] is None and setups:
        advice.append(f"for the ros2 host: source {setups[-1]}")
    if modules["open3d"]["version"] is None:
        advice.append("for the simulator and the demo: pip install open3d")
    rmem_max = system["rmem_max"]
    if rmem_max is not None and rmem_max < WANTED_RMEM // 4:
        advice.append(
            f"net.core.rmem_max is {rmem_max} bytes, images over DDS may be lost: "
            f"sudo sysctl -w net.core.rmem_max={WANTED_RMEM}"
        )
    if Path("/proc/driver/nvidia").exists() and not report["providers"].get("cuda", {}).get("works"):
        advice.append("there is an NVIDIA GPU: pip install onnxruntime-gpu in place of onnxruntime")
    return advice


def text(report: dict[str, Any]) -> str:
    """For people."""
    system = report["system"]
    lines = [
        f"{system['platform']}, {system['cores']} cores, Python {system['python']} ({system['executable']})",
        f"ROS 2: {report['ros_distro'] or 'not sourced'}; net.core.rmem_max: {system['rmem_max'] or 'unknown'}",
        "",
    ]
    for kind in ("modules", "hosts", "providers"):
        rows = [(name, *_row(found)) for name, found in report[kind].items()]
        lines += [table((kind, "works", "detail"), rows), ""]
    lines += [f"models: {', '.join(report['models']) or 'none shipped'}", ""]
    lines += [f"- {line}" for line in report["advice"]] or ["nothing to do"]
    return "\n".join(lines)


def _row(found: dict[str, Any]) -> tuple[bool, str]:
    version = found.get("version")
    return found["works"], " ".join(filter(None, (version, found["detail"])))
