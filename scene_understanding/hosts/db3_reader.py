"""Reads a rosbag2 `.db3` file (SQLite); of a damaged one, every row that SQLite can still reach."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path

import numpy as np

from scene_understanding.hosts.bag_contents import BagError, Loss, Recorded, Topic
from scene_understanding.hosts.bag_qos import qos_from_yaml

_ROW = np.dtype([("time", "i8"), ("id", "i8"), ("topic", "i8")])
_NO_MORE_WITHIN = 1 << 30  # so many ids that cannot be reached: no more rows behind them


class Db3Reader:
    """One file. See `BagFile`.

    Raises:
        BagError: not a SQLite file of rosbag2, or one whose list of topics is lost (from the constructor).
    """

    def __init__(self, path: Path, described: Sequence[Topic] = ()) -> None:
        """`described`: the topics by `metadata.yaml`, for what the file itself does not tell."""
        self.path = path
        self.losses: list[Loss] = []
        self._scratch = tempfile.TemporaryDirectory(prefix="bag-")
        self._db = self._opened()
        try:
            self._db.execute("PRAGMA writable_schema=ON")  # opens a file that is shorter than its header says
            self._topics = self._read_topics(described)
            self._rows = self._read_rows()
        except sqlite3.DatabaseError as error:
            self.close()
            raise BagError(f"{path} cannot be read as a rosbag2 database: {error}") from error
        counts = Counter(self._rows["topic"].tolist())
        self.topics = [Topic(t.name, t.type, t.qos, t.definition, counts[number]) for number, t in self._topics.items()]

    def close(self) -> None:
        self._db.close()
        self._scratch.cleanup()

    def _opened(self) -> sqlite3.Connection:
        path, size = self.path, self.path.stat().st_size
        with path.open("rb") as file:
            start = file.read(18)
        if not start.startswith(b"SQLite format 3\0"):
            raise BagError(f"{path} is not a SQLite file")
        page = int.from_bytes(start[16:], "big") or size
        page = 65536 if page == 1 else page  # SQLite's file format, 1.3.2
        # A write-ahead log beside it holds what a killed recording had not moved into the file.
        mode = "mode=ro" if path.with_name(path.name + "-wal").exists() else "mode=ro&immutable=1"
        if size % page:
            # SQLite would fill the page that is cut with zeros and give them out as messages.
            path = shutil.copyfile(path, Path(self._scratch.name) / "whole_pages.db3")
            os.truncate(path, size - size % page)
            self.losses.append(Loss(f"{self.path} at byte {size - size % page}", "cut inside a page", size % page))
        return sqlite3.connect(f"{path.resolve().as_uri()}?{mode}", uri=True, check_same_thread=False)

    def messages(self, wanted: Collection[str] | None) -> Iterator[Recorded]:
        names = {n: t for n, t in self._topics.items() if wanted is None or t.name in wanted}
        lost: Counter[str] = Counter()
        for time_ns, row, number in self._rows[np.isin(self._rows["topic"], list(names))].tolist():
            try:
                (data,) = self._db.execute("SELECT data FROM messages WHERE id = ?", (row,)).fetchone()
            except (sqlite3.DatabaseError, TypeError) as error:
                lost[str(error)] += 1
                continue
            if isinstance(data, bytes):
                yield Recorded(names[number].name, names[number].type, time_ns, data)
            else:
                lost["no bytes in it"] += 1
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
            if not (isinstance(name, str) and isinstance(msgtype, str)):
                raise BagError(f"{self.path}: its list of topics is damaged")
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
        lost, start = "", 0
        while why := self._append_rows(rows, start):
            lost = why
            reachable = self._next_reachable(max(start, rows[-1][1] + 1 if rows else 0))
            if reachable is None:
                break
            start = reachable
        if lost:
            missing = (rows[-1][1] if rows else 0) - len(rows)
            why = f"{lost}; rows that cannot be reached are left out, and all behind the last one that can"
            self.losses.append(Loss(str(self.path), why, messages=missing if missing > 0 else None))
        whole = [row for row in rows if isinstance(row[0], int) and isinstance(row[2], int)]
        if len(whole) < len(rows):
            self.losses.append(Loss(str(self.path), "rows without a time or topic", messages=len(rows) - len(whole)))
        return np.sort(np.array(whole, _ROW), order=("time", "id"))

    def _append_rows(self, rows: list[tuple[int, int, int]], start: int) -> str:
        """Rows from an id on; why it could not go on to the end, or ""."""
        query = "SELECT timestamp, id, topic_id FROM messages WHERE id >= ? ORDER BY id"
        try:
            for row in self._db.execute(query, (start,)):
                rows.append(row)
        except sqlite3.DatabaseError as error:
            if "no such table" in str(error):
                raise
            return str(error)
        return ""

    def _next_reachable(self, failed: int) -> int | None:
        """The first id behind `failed` from which reading goes on; None if there is none."""
        before, step = failed, 1
        while not self._reads_from(failed + step):
            before, step = failed + step, step + 1 + step // 64
            if step > _NO_MORE_WITHIN:
                return None
        after = failed + step
        while after - before > 1:
            middle = (before + after) // 2
            before, after = (before, middle) if self._reads_from(middle) else (middle, after)
        return after

    def _reads_from(self, start: int) -> bool:
        try:
            self._db.execute("SELECT timestamp FROM messages WHERE id >= ? ORDER BY id LIMIT 1", (start,)).fetchone()
        except sqlite3.DatabaseError:
            return False
        return True
