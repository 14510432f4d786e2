"""Reads a rosbag2 `.db3` file (SQLite); of a damaged one, every row that SQLite can still reach."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded, Topic
from scene_understanding.hosts.bag_qos import qos_from_yaml

_ROW = np.dtype([("time", "i8"), ("id", "i8"), ("topic", "i8")])
_GIVE_UP_AFTER = 20_000  # consecutive rows that cannot be reached: there are no more behind them


class Db3Reader:
    """One file. See `BagFile`.

    Raises:
        BagError: not a SQLite file of rosbag2, or one whose list of topics is lost (from the constructor).
    """

    def __init__(self, path: Path, described: Sequence[Topic] = ()) -> None:
        """`described`: the topics by `metadata.yaml`, for what the file itself does not tell."""
        self.path = path
        self.losses: list[Loss] = []
        if path.stat().st_size == 0:
            raise BagError(f"{path} is empty")
        # A write-ahead log beside it holds what a killed recording had not moved into the file.
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
        self._db = sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, check_same_thread=False)
        try:
            self._db.execute("PRAGMA writable_schema=ON")  # opens a file that is shorter than its header says
            self._topics = self._read_topics(described)
            self._rows = self._read_rows()
        except sqlite3.DatabaseError as error:
            self._db.close()
            raise BagError(f"{path} cannot be read as a rosbag2 database: {error}") from error
        counts = Counter(self._rows["topic"].tolist())
        self.topics = [Topic(t.name, t.type, t.qos, t.definition, counts[number]) for number, t in self._topics.items()]

    def close(self) -> None:
        self._db.close()

    def messages(self, wanted: Collection[str] | None) -> Iterator[Recorded]:
        names = {n: t for n, t in self._topics.items() if wanted is None or t.name in wanted}
        lost: Counter[str] = Counter()
        for time_ns, row, number in self._rows[np.isin(self._rows["topic"], list(names))].tolist():
            try:
                (data,) = self._db.execute("SELECT data FROM messages WHERE id = ?", (row,)).fetchone()
            except (sqlite3.DatabaseError, TypeError) as error:
                lost[str(error)] += 1
                continue
            yield Recorded(names[number].name, names[number].type, time_ns, data)
        for why, count in lost.items():
            self.losses.append(Loss(str(self.path), f"the content of messages is damaged: {why}", messages=count))

    def _read_topics(self, described: Sequence[Topic]) -> dict[int, Topic]:
        columns = [row[1] for row in self._db.execute("PRAGMA table_info(topics)")]
        if not columns:
            raise BagError(f"{self.path} is a SQLite file but not a bag: it has no table 'topics'")
        qos = "offered_qos_profiles" if "offered_qos_profiles" in columns else "''"
        definitions = self._definitions()
        by_name = {topic.name: topic for topic in described}
        topics = {}
        query = f"SELECT id, name, type, {qos} FROM topics ORDER BY id"
        for number, name, msgtype, profiles in self._db.execute(query):
            known = by_name.get(name)
            found = qos_from_yaml(profiles) or (known.qos if known else ())
            topics[number] = Topic(name, msgtype, found, definitions.get(msgtype, ""))
        return topics

    def _definitions(self) -> dict[str, str]:
        """`ros2msg` texts by type; only bags since Iron have them."""
        try:
            rows = self._db.execute(
                "SELECT topic_type, encoded_message_definition FROM message_definitions WHERE encoding = 'ros2msg'"
            )
            return dict(rows.fetchall())
        except sqlite3.OperationalError:
            return {}

    def _read_rows(self) -> np.ndarray:
        """Time, id and topic of all messages that can be reached, in recorded order."""
        rows: list[tuple[int, int, int]] = []
        next_id, unreachable, lost = 0, 0, ""
        while unreachable < _GIVE_UP_AFTER:
            try:
                for row in self._db.execute(
                    "SELECT timestamp, id, topic_id FROM messages WHERE id >= ? ORDER BY id", (next_id,)
                ):
                    rows.append(row)
                    next_id, unreachable = row[1] + 1, 0
                break
            except sqlite3.DatabaseError as error:
                if isinstance(error, sqlite3.OperationalError) and "no such table" in str(error):
                    raise
                lost = str(error)
                next_id, unreachable = next_id + 1, unreachable + 1
        if lost:
            missing = (rows[-1][1] if rows else 0) - len(rows)
            why = f"{lost}; rows that cannot be reached are left out, and all behind the last one that can"
            self.losses.append(Loss(str(self.path), why, messages=missing if missing > 0 else None))
        return np.sort(np.array(rows, _ROW), order=("time", "id"))
