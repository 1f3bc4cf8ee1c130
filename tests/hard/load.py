"""Many sessions of the running app at once, each a client of Streamlit's own protocol: how long they wait, and what it costs.

python tests/hard/load.py [SESSIONS [RUNS]]: the same tour by each session alone and by all at once; then RUNS runs in all,
with the server's resident memory.
"""

import contextlib
import json
import statistics
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.sync.client import connect

from pursamere_viz.benchmark.servers import serve

PATIENCE = 300  # seconds for one answer
VALUES = {"Slider": "double_array_value", "NumberInput": "double_value"}  # by kind of widget


class Session:
    """One browser tab: its address, what it shows, and the values of its widgets."""

    def __init__(self, address: str, query: str = "") -> None:
        self._open = contextlib.ExitStack()
        stream = f"ws{address.removeprefix('http')}/_stcore/stream"
        how = {"subprotocols": ["streamlit"], "max_size": None, "open_timeout": PATIENCE}
        self.socket = self._open.enter_context(connect(stream, **how))
        self.query, self.hash, self.widgets = query, "", dict[str, WidgetState]()
        self.shown: dict[tuple[int, ...], Element] = {}
        self.waited: list[float] = []
        self.gathers = True  # whether the page is told to report how it is used

    def close(self) -> None:
        self._open.close()

    def __getitem__(self, key: str) -> Any:
        """The widget or chart with this key, and not the bar beneath a chart."""
        for element in self.shown.values():
            held = getattr(element, element.WhichOneof("type"))
            if type(held).__name__ in VALUES and held.id.endswith(f"-{key}"):
                return held
        raise KeyError(key)

    def put(self, key: str, value: Any) -> None:
        """Operate a widget, and wait for the answer."""
        held = self[key]
        state = WidgetState(id=held.id)
        field = VALUES[type(held).__name__]
        if field == "double_array_value":
            state.double_array_value.data[:] = [value]
        else:
            setattr(state, field, value)
        self.widgets[held.id] = state
        self.run()

    def visit(self, page: str, query: str = "") -> None:
        """Go to a page by its name in the address; empty is the first."""
        self.query = query
        self.widgets.clear()
        self.run(page)

    def run(self, name: str | None = None) -> None:
        """Let the script run until nothing on the page is being computed any more."""
        begun = time.perf_counter()
        self._once(name)
        while any(film.get("waiting") for film in self._films()):
            self._once(None)
        self.waited.append(time.perf_counter() - begun)

    def _films(self) -> list[dict[str, Any]]:
        """What the components of the page show, its players among them."""
        shown = [e.bidi_component.json for e in self.shown.values() if e.WhichOneof("type") == "bidi_component"]
        return [json.loads(text) for text in shown if text]

    def _once(self, name: str | None) -> None:
        """One run of the script: take what it sends until it is done, a rerun of its own included."""
        message = BackMsg()
        message.rerun_script.query_string = self.query
        message.rerun_script.widget_states.widgets.extend(self.widgets.values())
        if name is None:
            message.rerun_script.page_script_hash = self.hash
        else:
            message.rerun_script.page_name = name
        self.socket.send(message.SerializeToString())
        fresh: dict[tuple[int, ...], Element] = {}
        while True:
            answer = ForwardMsg.FromString(self.socket.recv(timeout=PATIENCE))
            kind = answer.WhichOneof("type")
            if kind == "new_session":
                fresh, self.gathers = {}, answer.new_session.config.gather_usage_stats
            elif kind == "navigation":
                self.hash = answer.navigation.page_script_hash
            elif kind == "page_info_changed":
                self.query = answer.page_info_changed.query_string
            elif kind == "delta" and answer.delta.WhichOneof("type") == "new_element":
                fresh[tuple(answer.metadata.delta_path)] = answer.delta.new_element
            elif kind == "script_finished" and answer.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY:
                break
        self.shown = fresh

    def texts(self, kind: str) -> list[str]:
        """What the page says in elements of a kind: markdown, alert or exception."""
        found = [getattr(e, kind) for e in self.shown.values() if e.WhichOneof("type") == kind]
        return [one.message if kind == "exception" else one.body for one in found]

    def answer(self) -> tuple[str, ...]:
        """What the page is about: its address and its headlines."""
        assert not self.texts("exception") and not self.texts("alert"), self.texts("exception") + self.texts("alert")
        return (self.query, *(text for text in self.texts("markdown") if text.startswith("# ")))


def tour(address: str, number: int) -> tuple[list[tuple[str, ...]], list[float]]:
    """What one session sees and how long it waits: its own image, its own attack, its own start in the plane, the bench."""
    session, seen = Session(address, f"image={number}"), []
    with contextlib.closing(session):
        session.run()
        seen.append(session.answer())
        session.query = f"image={number + 100}"
        session.run()
        seen.append(session.answer())
        assert f"image={number + 100}" in session.query
        session.put("eps", float(40 + number))
        seen.append(session.answer())
        assert f"eps={40 + number}%2F255" in session.query, session.query
        session.visit("density-lab")
        seen.append(session.answer())
        session.put("density_start_x", number / 20 - 0.5)
        seen.append(session.answer())
        assert "start_x" in session.query, session.query
        session.visit("robustness-bench")
        seen.append(session.answer()[1:])  # which run is first is the server's, and so is not in the address
    return seen, session.waited


def alone_and_at_once(sessions: int) -> tuple[list[float], list[float]]:
    """How long sessions wait one after another and all at once; AssertionError where one is answered otherwise."""
    with serve(PURSAMERE_CACHE="") as (address, _):
        alone = [tour(address, number) for number in range(sessions)]
    with serve(PURSAMERE_CACHE="") as (address, _), ThreadPoolExecutor(sessions) as threads:
        crowd = list(threads.map(lambda number: tour(address, number), range(sessions)))
    assert [seen for seen, _ in crowd] == [seen for seen, _ in alone]
    return [w for _, waited in alone for w in waited], [w for _, waited in crowd for w in waited]


def memory(runs: int, sessions: int = 4) -> Iterator[tuple[int, float]]:
    """(runs so far, resident megabytes of the server) at the start and as they add up, every run of another scenario."""
    with serve(PURSAMERE_CACHE="") as (address, server), ThreadPoolExecutor(sessions) as threads:
        process = psutil.Process(server.pid)
        tabs = [Session(address) for _ in range(sessions)]

        def some(number: int, first: int) -> None:
            for run in range(first + number, first + 100, sessions):
                tabs[number].query = f"image={run % 360}&eps={1 + run // 360}%2F255"
                tabs[number].run()
                tabs[number].answer()

        list(threads.map(lambda tab: tab.run(), tabs))
        yield 0, process.memory_info().rss / 1e6
        for first in range(0, runs, 100):
            list(threads.map(some, range(sessions), [first] * sessions))
            yield first + 100, process.memory_info().rss / 1e6


def main(sessions: int = 20, runs: int = 1000) -> None:
    """Print the figures."""
    for name, waited in zip(("one at a time", f"{sessions} at once"), alone_and_at_once(sessions), strict=True):
        print(
            f"{name}: median {statistics.median(waited):.2f} s, worst {max(waited):.2f} s of {len(waited)} answers",
            flush=True,
        )
    for done, megabytes in memory(runs):
        print(f"after {done} runs: {megabytes:.0f} MB", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
