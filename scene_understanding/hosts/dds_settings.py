"""Where a process looks for other ROS 2 processes: the environment variables of ROS 2 and of Cyclone DDS.

`ROS_DOMAIN_ID`, `ROS_AUTOMATIC_DISCOVERY_RANGE`, `ROS_STATIC_PEERS` and the older `ROS_LOCALHOST_ONLY` mean what they
mean in rcl and rmw_cyclonedds_cpp (Jazzy: `rcl/src/rcl/init.c`, `check_create_domain` in `rmw_node.cpp`), so that a
process of this host finds those of ROS 2. `CYCLONEDDS_URI` comes last and overrides any of it.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import quoteattr

from scene_understanding.hosts.dds_library import DdsError

logger = logging.getLogger(__name__)

RANGES = ("SUBNET", "LOCALHOST", "OFF", "SYSTEM_DEFAULT")
MAX_DOMAIN_ID = 232
_MAX_PARTICIPANTS = 32  # processes per machine that LOCALHOST looks for, as in rmw_cyclonedds_cpp
_ALL_VENDORS = ",".join(f"1.{number}" for number in range(1, 33))
_RMEM_MAX = Path("/proc/sys/net/core/rmem_max")
_LARGE_TYPES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/PointCloud2")
_LARGE_BUFFER = 2 * 1024 * 1024


@dataclass(frozen=True)
class DdsSettings:
    """DDS domain and Cyclone DDS configuration (XML fragments and file names, separated by commas; later ones win)."""

    domain_id: int
    configuration: str


def settings_from_environment(environment: Mapping[str, str] = os.environ) -> DdsSettings:
    """Settings as ROS 2 would take them from the environment.

    Raises:
        DdsError: ROS_DOMAIN_ID is not a number of a domain.
    """
    discovery_range, peers = _discovery(environment)
    parts = [_discovery_xml(discovery_range, peers), environment.get("CYCLONEDDS_URI", "")]
    return DdsSettings(_domain_id(environment), ",".join(part for part in parts if part))


def _domain_id(environment: Mapping[str, str]) -> int:
    text = environment.get("ROS_DOMAIN_ID", "") or "0"
    if not text.isdecimal() or int(text) > MAX_DOMAIN_ID:
        raise DdsError(f"ROS_DOMAIN_ID is '{text}'; expected a number from 0 to {MAX_DOMAIN_ID}")
    return int(text)


def _discovery(environment: Mapping[str, str]) -> tuple[str, list[str]]:
    if environment.get("ROS_LOCALHOST_ONLY") == "1":
        return "LOCALHOST", []
    discovery_range = environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "") or "SUBNET"
    if discovery_range not in RANGES:
        logger.warning(
            "ROS_AUTOMATIC_DISCOVERY_RANGE is '%s', not one of %s; taking LOCALHOST", discovery_range, ", ".join(RANGES)
        )
        discovery_range = "LOCALHOST"
    peers = [peer for peer in environment.get("ROS_STATIC_PEERS", "").split(";") if peer]
    if peers and discovery_range in ("OFF", "SYSTEM_DEFAULT"):
        logger.warning("ROS_STATIC_PEERS is ignored with ROS_AUTOMATIC_DISCOVERY_RANGE=%s", discovery_range)
        peers = []
    return discovery_range, peers


def _discovery_xml(discovery_range: str, peers: list[str]) -> str:
    """Cyclone's words for a range.

    Beyond what rmw_cyclonedds_cpp writes: sockets that can hold a few images; types are told apart by their names
    alone, as in ROS 2 (to Cyclone ours are structures without content, which all fit each other); and within one
    machine, where no frame is lost on a cable, packets as large as UDP allows: an image costs a third less CPU on
    both sides.
    """
    general, discovery = "", ""
    if discovery_range in ("LOCALHOST", "OFF"):
        general += "<AllowMulticast>false</AllowMulticast>"
    if discovery_range == "LOCALHOST":
        # Cyclone 11 ignores announcements over an interface that it does not use; those of ROS 2 come over this one
        interfaces = '<NetworkInterface autodetermine="true"/>' if peers else ""
        general += f'<Interfaces>{interfaces}<NetworkInterface address="127.0.0.1"/></Interfaces>'
        if not peers:
            general += "<FragmentSize>64000B</FragmentSize><MaxMessageSize>65500B</MaxMessageSize>"
    if discovery_range == "OFF":
        discovery += "<ParticipantIndex>none</ParticipantIndex>"
        discovery += f"<Tag>ros_discovery_off_{os.getpid()}</Tag>"
    elif discovery_range != "SYSTEM_DEFAULT":
        discovery += "<ParticipantIndex>auto</ParticipantIndex>"
        discovery += f"<MaxAutoParticipantIndex>{_MAX_PARTICIPANTS}</MaxAutoParticipantIndex>"
    addresses = (["localhost"] if discovery_range == "LOCALHOST" else []) + peers
    if addresses:
        # Cyclone 11 gives up after 30 s; a peer may be switched on later, or may not look for us by itself
        discovery += "<InitialLocatorPruneDelay>inf</InitialLocatorPruneDelay><SPDPInterval>2s</SPDPInterval>"
        discovery += f"<Peers>{''.join(f'<Peer address={quoteattr(peer)}/>' for peer in addresses)}</Peers>"
    return (
        "<CycloneDDS><Domain>"
        f"<General>{general}</General><Discovery>{discovery}</Discovery>"
        f"<Compatibility><IgnoreTypeInformation>{_ALL_VENDORS}</IgnoreTypeInformation></Compatibility>"
        '<Internal><SocketReceiveBufferSize max="8MB"/></Internal>'
        "</Domain></CycloneDDS>"
    )


def small_buffer_warning(msgtype: str) -> str | None:
    """One line for the user where the system's UDP buffers are too small for a subscription to such messages."""
    try:
        rmem_max = int(_RMEM_MAX.read_text())
    except (OSError, ValueError):
        return None  # not Linux: no such limit to tell about
    if msgtype not in _LARGE_TYPES or rmem_max >= _LARGE_BUFFER:
        return None
    return (
        f"net.core.rmem_max is {rmem_max} bytes: images and clouds may be lost on the way in; "
        f"run: sudo sysctl -w net.core.rmem_max={4 * _LARGE_BUFFER}"
    )
