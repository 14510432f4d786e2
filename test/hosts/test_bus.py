import struct
import threading

import numpy as np
import pytest
from hypothesis import given, strategies as st

from scene_understanding.hosts.bus import Bus, Delivery, has_header, stamp_of_cdr
from scene_understanding.hosts.transport import Endpoint
from scene_understanding.messages.header import make_header
from scene_understanding.messages.types import Image, String, serialize, typestore
from scene_understanding.nodes.node import LATCHED, RELIABLE, SENSOR

STRING, IMAGE = "std_msgs/msg/String", "sensor_msgs/msg/Image"


def image(stamp_ns: int = 0) -> Image:
    return Image(make_header(stamp_ns, "camera"), 1, 2, "mono8", 0, 2, np.array([1, 2], np.uint8))


def test_inside_a_process_the_object_itself_is_handed_over(listen) -> None:
    bus = Bus()
    first, second = listen(bus, "/image", IMAGE), listen(bus, "/image", IMAGE)
    sent = image()
    bus.advertise("/image", IMAGE, SENSOR, "/camera").publish(sent)
    assert first == [sent] and first[0] is sent and second[0] is sent


def test_between_processes_go_bytes_and_only_where_somebody_listens(buses, listen) -> None:
    here, there = buses
    publisher = here.advertise("/chat", STRING, RELIABLE, "/talker")
    assert not publisher.wanted and not here.wanted("/chat")
    publisher.publish(String(data="nobody hears"))
    assert here.transport.sent == []
    heard = listen(there, "/chat", STRING)
    assert publisher.wanted and here.wanted("/chat")
    publisher.publish(String(data="hello"))
    assert [m.data for m in heard] == ["hello"]
    assert here.transport.sent == ["/chat"]


def test_listening_at_home_makes_it_wanted_too(listen) -> None:
    bus = Bus()
    publisher = bus.advertise("/chat", STRING, RELIABLE, "/talker")
    assert not publisher.wanted
    subscription = bus.subscribe("/chat", STRING, RELIABLE, "/me", lambda _: None)
    assert publisher.wanted
    subscription.close()
    assert not publisher.wanted and not bus.wanted("/never_advertised")


def test_latched_is_kept_for_who_comes_late_here_and_outside(buses, listen) -> None:
    here, there = buses
    publisher = here.advertise("/map", STRING, LATCHED, "/mapper")
    assert publisher.wanted, "somebody may come late"
    publisher.publish(String(data="old"))
    publisher.publish(String(data="new"))
    assert [m.data for m in listen(here, "/map", STRING)] == ["new"]
    assert [m.data for m in listen(there, "/map", STRING, LATCHED)] == ["new"]
    assert [m.data for m in listen(there, "/map", STRING, LATCHED)] == ["new"], "a second one there, later still"
    assert listen(there, "/map", STRING, RELIABLE) == [], "a volatile one gets what comes from now on"
    publisher.close()
    assert listen(here, "/map", STRING) == []


@pytest.mark.parametrize("ignores_local", [True, False])
def test_nothing_is_heard_twice(wire, listen, ignores_local: bool) -> None:
    """Where the transport echoes what this process sends, a topic published here is heard from here only."""
    wire.ignores_local = ignores_local
    here, there = Bus(wire.end()), Bus(wire.end())
    heard = listen(here, "/chat", STRING)
    other = there.advertise("/chat", STRING, RELIABLE, "/other")
    other.publish(String(data="1 from there"))
    publisher = here.advertise("/chat", STRING, RELIABLE, "/talker")
    publisher.publish(String(data="2 from here"))
    other.publish(String(data="3 from there"))
    publisher.close()
    other.publish(String(data="4 from there"))
    expected = ["1 from there", "2 from here", "3 from there", "4 from there"]
    assert [m.data for m in heard] == [text for text in expected if ignores_local or text != "3 from there"]


def test_a_message_is_encoded_once_and_decoded_once(buses, monkeypatch) -> None:
    here, there = buses
    decoded, encoded = [], []
    original = typestore.deserialize_cdr
    monkeypatch.setattr(typestore, "deserialize_cdr", lambda *a: decoded.append(1) or original(*a))
    to_cdr = typestore.serialize_cdr
    monkeypatch.setattr(typestore, "serialize_cdr", lambda *a, **k: encoded.append(1) or to_cdr(*a, **k))
    got: list[Delivery] = []
    for _ in range(3):
        there.subscribe("/image", IMAGE, SENSOR, "/n", got.append)
    assert len(there.transport.readers) == 1, "three subscriptions share one on the wire"
    publisher = here.advertise("/image", IMAGE, SENSOR, "/camera")
    here.subscribe("/image", IMAGE, SENSOR, "/recorder", lambda delivery: delivery.data())
    publisher.publish(image())
    assert not decoded, "what nobody looks at is not decoded"
    messages = [delivery.message() for delivery in got]
    assert (len(encoded), len(decoded)) == (1, 1)
    assert messages[0] is messages[1] is messages[2]


def test_two_types_on_one_topic_do_not_meet_and_are_told(buses, listen) -> None:
    here, there = buses
    strings, images = listen(here, "/x", STRING), listen(here, "/x", IMAGE, SENSOR)
    mine = here.advertise("/x", STRING, RELIABLE, "/mine")
    there.advertise("/x", IMAGE, SENSOR, "/theirs").publish(image())
    mine.publish(String(data="a"))
    assert [m.data for m in strings] == ["a"] and len(images) == 1
    conflict = f"/x is {STRING} here but is published as {IMAGE} by /theirs"
    assert here.conflict("/x", STRING) == conflict
    assert here.conflict("/x", IMAGE) == f"/x is {IMAGE} here but is published as {STRING} by /mine"
    assert there.conflict("/x", IMAGE) == f"/x is {IMAGE} here but is published as {STRING} by /mine"
    assert here.conflict("/y", STRING) is None
    assert here.publishers("/x") == [Endpoint("/mine", STRING, RELIABLE), Endpoint("/theirs", IMAGE, SENSOR)]


def test_a_listener_of_another_type_is_a_conflict_as_well() -> None:
    bus = Bus()
    bus.subscribe("/x", IMAGE, SENSOR, "/viewer", lambda _: None)
    assert bus.conflict("/x", STRING) == f"/x is {STRING} here but is expected as {IMAGE} by /viewer"


def test_a_message_of_another_type_is_not_published(listen) -> None:
    bus = Bus()
    publisher = bus.advertise("/x", STRING, RELIABLE, "/n")
    with pytest.raises(TypeError, match="/x carries std_msgs/msg/String; a sensor_msgs/msg/Image was to be"):
        publisher.publish(image())
    with pytest.raises(TypeError, match="a str was to be"):
        publisher.publish("text")


def test_closing_takes_it_off_the_wire(buses) -> None:
    here, there = buses
    publisher = here.advertise("/x", STRING, RELIABLE, "/n")
    subscription = there.subscribe("/x", STRING, RELIABLE, "/m", lambda _: None)
    publisher.close()
    subscription.close()
    assert here.transport.writers == [] and there.transport.readers == []


@given(st.integers(-(2**31), 2**31 - 1), st.integers(0, 10**9 - 1), st.booleans())
def test_stamp_is_read_from_the_bytes(seconds: int, nanoseconds: int, little_endian: bool) -> None:
    message = image()
    message.header.stamp.sec, message.header.stamp.nanosec = seconds, nanoseconds
    data = typestore.serialize_cdr(message, IMAGE, little_endian=little_endian)
    assert stamp_of_cdr(data) == seconds * 10**9 + nanoseconds
    assert Delivery(IMAGE, data=data).stamp_ns == Delivery(IMAGE, message).stamp_ns == stamp_of_cdr(data)


def test_what_has_no_stamp() -> None:
    assert has_header(IMAGE) and not has_header(STRING) and not has_header("tf2_msgs/msg/TFMessage")
    assert not has_header("std_msgs/msg/Header") and not has_header("no/msg/Such")
    assert Delivery(STRING, String(data="")).stamp_ns is None
    with pytest.raises(ValueError, match="too few"):
        _ = Delivery(IMAGE, data=struct.pack("<II", 0x100, 7)).stamp_ns


def test_bytes_that_are_no_message() -> None:
    delivery = Delivery(IMAGE, data=bytes(serialize(image()))[:30])
    assert delivery.stamp_ns == 0
    with pytest.raises(ValueError, match="30 bytes are not a sensor_msgs/msg/Image"):
        delivery.message()


def test_threads_that_come_and_go_while_others_publish(buses) -> None:
    here, there = buses
    stop = threading.Event()
    errors: list[BaseException] = []

    def guarded(work) -> None:
        try:
            while not stop.is_set():
                work()
        except BaseException as error:
            errors.append(error)

    def subscribe() -> None:
        there.subscribe("/x", STRING, RELIABLE, "/m", lambda d: d.message()).close()

    def publish() -> None:
        publisher = here.advertise("/x", STRING, LATCHED, "/n")
        publisher.publish(String(data="a"))
        publisher.close()

    threads = [threading.Thread(target=guarded, args=(work,)) for work in (subscribe, subscribe, publish, publish)]
    for thread in threads:
        thread.start()
    stop.wait(0.5)
    stop.set()
    for thread in threads:
        thread.join(5)
    assert not errors and not any(thread.is_alive() for thread in threads)
    assert there.transport.readers == [] and here.transport.writers == []
