"""Node names over `ros_discovery_info`, type names, and the environment variables of ROS 2."""

import os
import random
import time
import uuid
import xml.etree.ElementTree as ElementTree

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

pytest.importorskip("cyclonedds", reason="no cyclonedds wheel for this platform")

from scene_understanding.hosts import dds_settings
from scene_understanding.hosts.dds import DdsTransport
from scene_understanding.hosts.dds_discovery import (
    INFO_TYPE,
    NodeEntities,
    dds_type,
    decode_info,
    encode_info,
    ros_type,
    type_hash_data,
)
from scene_understanding.hosts.dds_library import DdsError
from scene_understanding.hosts.dds_settings import settings_from_environment, small_buffer_warning
from scene_understanding.messages.types import deserialize, message_type, serialize, type_hash
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR

GUIDS = st.binary(min_size=16, max_size=16)
NAMES = st.from_regex(r"(/[a-z][a-z0-9_]{0,9}){1,3}", fullmatch=True)
ENTITIES = st.builds(NodeEntities, st.lists(GUIDS, max_size=3), st.lists(GUIDS, max_size=3))
IMAGE = "sensor_msgs/msg/Image"


@settings(deadline=None)
@given(GUIDS, st.dictionaries(NAMES, ENTITIES, max_size=4), st.sampled_from([16, 24]))
def test_info_round_trip(participant, nodes, gid_size):
    assert decode_info(encode_info(participant, nodes, gid_size)) == (participant, nodes)


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_info_of_any_bytes_is_refused_or_read(data):
    try:
        decode_info(b"\x00\x01\x00\x00" + data)
    except ValueError as error:
        assert "are not a" in str(error)


def test_info_is_what_ros_defines():
    def gid(value: int) -> object:
        return message_type("rmw_dds_common/msg/Gid")(data=np.full(16, value, np.uint8))

    nodes = {
        "/robot/camera": NodeEntities([bytes([1] * 16)], [bytes([2] * 16), bytes([3] * 16)]),
        "/alone": NodeEntities(),
    }
    entities = message_type("rmw_dds_common/msg/NodeEntitiesInfo")
    expected = message_type(INFO_TYPE)(
        gid=gid(9),
        node_entities_info_seq=[
            entities("/robot", "camera", reader_gid_seq=[gid(1)], writer_gid_seq=[gid(2), gid(3)]),
            entities("/", "alone", reader_gid_seq=[], writer_gid_seq=[]),
        ],
    )
    data = encode_info(bytes([9] * 16), nodes)
    assert bytes(serialize(expected)) == data
    assert deserialize(data, INFO_TYPE).node_entities_info_seq[0].node_name == "camera"


def test_what_belongs_to_no_node_is_not_announced():
    entities = NodeEntities([bytes([1] * 16)], [])
    nodes = {"": entities, "/camera": entities}
    assert decode_info(encode_info(bytes([9] * 16), nodes))[1] == {"/camera": entities}


def test_type_names():
    assert dds_type(IMAGE) == "sensor_msgs::msg::dds_::Image_"
    assert ros_type(dds_type("std_srvs/srv/SetBool_Request")) == "std_srvs/srv/SetBool_Request"
    assert ros_type("HelloWorldData::Msg") == "HelloWorldData::Msg"
    assert type_hash_data(IMAGE) == f"typehash={type_hash(IMAGE)};"
    assert type_hash_data("nobody/msg/Knows") == ""


def test_nodes_of_another_participant(monkeypatch):
    monkeypatch.setenv("ROS_DOMAIN_ID", str(random.randint(1, 100)))
    monkeypatch.setenv("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    tag = f"<Discovery><Tag>{uuid.uuid4()}</Tag></Discovery>"
    monkeypatch.setenv("CYCLONEDDS_URI", f"<CycloneDDS><Domain>{tag}</Domain></CycloneDDS>")
    here, there = DdsTransport(), DdsTransport()
    publisher = there.advertise("/image", IMAGE, SENSOR, "/robot/camera")
    second = there.advertise("/image", IMAGE, LATCHED, "/robot/other")
    subscription = there.subscribe("/image", IMAGE, RELIABLE, "/viewer", lambda data: None)

    def settles(nodes: list[str], publishers: list[str]) -> bool:
        until = time.monotonic() + 20
        while (here.graph.nodes(), sorted(e.node for e in here.publishers("/image"))) != (nodes, publishers):
            if time.monotonic() > until:
                return False
            time.sleep(0.01)
        return True

    assert settles(["/robot/camera", "/robot/other", "/viewer"], ["/robot/camera", "/robot/other"])
    assert there.graph.nodes() == [] and there.publishers("/image") == []
    publisher.close()
    assert settles(["/robot/other", "/viewer"], ["/robot/other"])
    subscription.close()
    assert settles(["/robot/other"], ["/robot/other"])
    second.close()
    assert settles([], [])
    there.advertise("/image", IMAGE, SENSOR, "/robot/camera")
    there.close()
    assert settles([], [])
    here.close()


def parsed(environment: dict[str, str]) -> ElementTree.Element:
    return ElementTree.fromstring(settings_from_environment(environment).configuration)


def test_default_is_the_subnet():
    settings = settings_from_environment({})
    assert settings.domain_id == 0
    xml = parsed({})
    assert xml.find(".//AllowMulticast") is None and xml.find(".//Peers") is None
    assert xml.findtext(".//ParticipantIndex") == "auto"


def test_localhost_and_static_peers():
    xml = parsed({"ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST", "ROS_STATIC_PEERS": "192.0.2.7;robot<&"})
    assert xml.findtext(".//AllowMulticast") == "false"
    assert [peer.get("address") for peer in xml.iter("Peer")] == ["localhost", "192.0.2.7", "robot<&"]
    assert xml.find(".//FragmentSize") is None  # the peers are behind a network
    assert [i.attrib for i in xml.iter("NetworkInterface")] == [{"autodetermine": "true"}, {"address": "127.0.0.1"}]
    assert parsed({"ROS_LOCALHOST_ONLY": "1"}).find(".//FragmentSize") is not None


def test_discovery_off_and_system_default(caplog):
    xml = parsed({"ROS_AUTOMATIC_DISCOVERY_RANGE": "OFF", "ROS_STATIC_PEERS": "a"})
    assert xml.findtext(".//ParticipantIndex") == "none"
    assert xml.findtext(".//Tag") == f"ros_discovery_off_{os.getpid()}"
    assert xml.find(".//Peers") is None and "ROS_STATIC_PEERS is ignored" in caplog.text
    assert parsed({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SYSTEM_DEFAULT"}).findtext(".//ParticipantIndex") is None


def test_cyclonedds_uri_comes_last():
    settings = settings_from_environment({"CYCLONEDDS_URI": "file:///etc/cyclone.xml"})
    assert settings.configuration.endswith(",file:///etc/cyclone.xml")


def test_an_unknown_range_is_told(caplog):
    assert parsed({"ROS_AUTOMATIC_DISCOVERY_RANGE": "EVERYWHERE"}).findtext(".//AllowMulticast") == "false"
    assert "'EVERYWHERE', not one of SUBNET, LOCALHOST, OFF, SYSTEM_DEFAULT" in caplog.text


@pytest.mark.parametrize("text", ["abc", "-1", "233", "1.5"])
def test_a_wrong_domain_is_told(text):
    with pytest.raises(DdsError, match=f"ROS_DOMAIN_ID is '{text}'; expected a number from 0 to 232"):
        settings_from_environment({"ROS_DOMAIN_ID": text})


@pytest.mark.parametrize("xml", ["<CycloneDDS><Domain><NoSuchThing/></Domain></CycloneDDS>", "<broken"])
def test_a_wrong_configuration_is_told(xml):
    with pytest.raises(DdsError, match="DDS domain 99"):
        DdsTransport(dds_settings.DdsSettings(99, xml))


def test_one_process_has_one_configuration_of_a_domain():
    first = DdsTransport(dds_settings.DdsSettings(98, ""))
    with pytest.raises(DdsError, match="with other settings"):
        DdsTransport(dds_settings.DdsSettings(98, "<CycloneDDS/>"))
    first.close()


def test_small_buffers_are_told_where_they_matter(monkeypatch, tmp_path):
    small, large = tmp_path / "small", tmp_path / "large"
    small.write_text("212992\n")
    large.write_text("8388608\n")
    monkeypatch.setattr(dds_settings, "_RMEM_MAX", small)
    assert "sysctl -w net.core.rmem_max=8388608" in (small_buffer_warning(IMAGE) or "")
    assert small_buffer_warning("std_msgs/msg/String") is None
    for path in (large, tmp_path / "absent"):
        monkeypatch.setattr(dds_settings, "_RMEM_MAX", path)
        assert small_buffer_warning(IMAGE) is None
