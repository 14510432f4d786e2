import numpy as np
import pytest

from scene_understanding.messages import types
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import (
    CameraInfo,
    Header,
    Image,
    LabelInfo,
    People,
    String,
    Time,
    VisionClass,
    deserialize,
    message_type,
    own_definitions,
    serialize,
    type_hash,
    typestore,
)

PUBLISHED_HASHES = {  # as `ros2 topic info -v` and `ros2 service info -v` of Jazzy print them
    "std_msgs/msg/String": "df668c740482bbd48fb39d76a70dfd4bd59db1288021743503259e948f6b1a18",
    "sensor_msgs/msg/Image": "d31d41a9a4c4bc8eae9be757b0beed306564f7526c88ea6a4588fb9582527d47",
    "sensor_msgs/msg/CameraInfo": "b3dfd68ff46c9d56c80fd3bd4ed22c7a4ddce8c8348f2f59c299e73118e7e275",
    "tf2_msgs/msg/TFMessage": "e369d0f05a23ae52508854b66f6aa0437f3449d652e8cbf22d5abe85d020f087",
    "rcl_interfaces/msg/ParameterEvent": "043e627780fcad87a22d225bc2a037361dba713fca6a6b9f4b869a5aa0393204",
    "rcl_interfaces/msg/Log": "e28ce254ca8abc06abf92773b74602cdbf116ed34fbaf294fb9f81da9f318eac",
    # a char[16] inside, which ROS 2 hashes as uint8[16]
    "rmw_dds_common/msg/ParticipantEntitiesInfo": "91a0593bacdcc50ea9bdcf849a938b128412cc1ea821245c663bcd26f83c295e",
    "rcl_interfaces/srv/GetParameters": "bf9803d5c74cf989a5de3e0c2e99444599a627c7ff75f97b8c05b01003675cbc",
    "rcl_interfaces/srv/GetParameterTypes": "da199c878688b3e530bdfe3ca8f74cb9fa0c303101e980a9e8f260e25e1c80ca",
    "rcl_interfaces/srv/SetParameters": "56eed9a67e169f9cb6c1f987bc88f868c14a8fc9f743a263bc734c154015d7e0",
    "rcl_interfaces/srv/SetParametersAtomically": "0e192ef259c07fc3c07a13191d27002222e65e00ccec653ca05e856f79285fcd",
    "rcl_interfaces/srv/DescribeParameters": "845b484d71eb0673dae682f2e3ba3c4851a65a3dcfb97bddd82c5b57e91e4cff",
    "rcl_interfaces/srv/ListParameters": "3e6062bfbb27bfb8730d4cef2558221f51a11646d78e7bb30a1e83afac3aad9d",
    "type_description_interfaces/srv/GetTypeDescription": (
        "69b9c19c1021405984cc60dbbb1edceb147a6538b411d812ba6afabeed962cd5"
    ),
}


@pytest.mark.parametrize("name", PUBLISHED_HASHES)
def test_type_hash_is_that_of_ros(name):
    assert type_hash(name) == f"RIHS01_{PUBLISHED_HASHES[name]}"


def test_every_type_has_a_hash_and_a_codec():
    for name in typestore.types:
        assert type_hash(name).startswith("RIHS01_")
        typestore.get_msgdef(name)


def test_message_type_takes_the_short_name():
    assert message_type("sensor_msgs/Image") is message_type("sensor_msgs/msg/Image") is Image


def test_unknown_type_names_its_neighbours():
    with pytest.raises(KeyError, match=r"sensor_msgs/msg/Imagee.*sensor_msgs/msg/Image,"):
        message_type("sensor_msgs/msg/Imagee")
    with pytest.raises(KeyError, match="there are: none"):
        message_type("nobody_msgs/msg/X")


def test_own_messages_come_from_the_files_that_colcon_builds():
    assert {path.name for path in own_definitions().glob("*.msg")} >= {"People.msg", "Person.msg", "Keypoint.msg"}
    assert People.__msgtype__ == "scene_understanding/msg/People"


@pytest.mark.parametrize("folder", ["pip/msg_definitions", "msg", "ament/share/scene_understanding/msg"])
def test_own_messages_are_found_however_installed(folder, tmp_path, monkeypatch):
    monkeypatch.setattr(types, "_HERE", tmp_path / "pip/messages")
    monkeypatch.setenv("AMENT_PREFIX_PATH", f"/nowhere:{tmp_path / 'ament'}")
    with pytest.raises(
        FileNotFoundError, match="no People.msg of scene_understanding in any of: .*pip/msg_definitions"
    ):
        own_definitions()
    (tmp_path / folder).mkdir(parents=True)
    (tmp_path / folder / "People.msg").touch()
    assert own_definitions() == tmp_path / folder


def test_service_parts_round_trip():
    request_type = message_type("rcl_interfaces/srv/ListParameters_Request")
    assert request_type.DEPTH_RECURSIVE == 0
    request = request_type(prefixes=["a", "bc"], depth=3)
    assert deserialize(serialize(request), "rcl_interfaces/srv/ListParameters_Request") == request
    assert len(serialize(message_type("lifecycle_msgs/srv/GetState_Request")())) == 5  # one byte where ROS has no field


def test_service_response_with_nested_messages_round_trips():
    descriptor = message_type("rcl_interfaces/msg/ParameterDescriptor")(
        name="rate", type=3, description="Hz", additional_constraints="", read_only=False, dynamic_typing=False,
        floating_point_range=[message_type("rcl_interfaces/msg/FloatingPointRange")(0.0, 10.0, 0.0)],
        integer_range=[],
    )  # fmt: skip
    response = message_type("rcl_interfaces/srv/DescribeParameters_Response")(descriptors=[descriptor])
    back = deserialize(serialize(response), response.__msgtype__)
    assert back.descriptors[0].floating_point_range[0].to_value == 10.0


def test_label_info_round_trip():
    message = LabelInfo(make_header(1, "camera"), [VisionClass(0, "bed"), VisionClass(1, "books")], 0.5)
    assert deserialize(serialize(message), "vision_msgs/msg/LabelInfo") == message


def test_bytes_are_those_of_cdr():
    assert bytes(serialize(String(data="abc"))) == b"\x00\x01\x00\x00\x04\x00\x00\x00abc\x00"


def test_big_endian_cdr_is_read():
    data = bytes(typestore.serialize_cdr(Header(Time(1, 2), "map"), "std_msgs/msg/Header", little_endian=False))
    assert deserialize(data, Header) == Header(Time(1, 2), "map")


def test_reading_does_not_copy():
    image = Image(make_header(1, "c"), 2, 4, "mono8", 0, 4, np.arange(8, dtype=np.uint8))
    buffer = bytearray(serialize(image))
    back = deserialize(buffer, Image)
    buffer[-8] = 77
    assert back.data[0] == 77
    assert not back.data.flags.writeable


@pytest.mark.parametrize("size", [0, 3, 4, 8, 21])
def test_truncated_bytes_are_an_error(size):
    data = bytes(serialize(Image(make_header(1, "c"), 2, 4, "mono8", 0, 4, np.arange(8, dtype=np.uint8))))
    with pytest.raises(ValueError, match="bytes are not a sensor_msgs/msg/Image"):
        deserialize(data[:size], Image)


def test_wrong_field_is_named():
    good = np.zeros(9)
    info = CameraInfo(make_header(0, ""), 1, 1, "", good, good, good, np.zeros(12), 0, 0, None)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"cannot serialise sensor_msgs/msg/CameraInfo: roi is a NoneType"):
        serialize(info)
    image = Image(make_header(1, "c"), 1, 1, "mono8", 0, 1, [1])  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="data is a list; expected an array of uint8"):
        serialize(image)
    with pytest.raises(ValueError, match=r"header.frame_id is a int; expected str"):
        serialize(Image(Header(Time(0, 0), 5), 1, 1, "mono8", 0, 1, np.zeros(1, np.uint8)))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"k has 8 elements; expected 9"):
        serialize(CameraInfo(make_header(0, ""), 1, 1, "", good, good[:8], good, np.zeros(12), 0, 0, None))  # type: ignore[arg-type]
