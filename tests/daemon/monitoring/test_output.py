"""Whatever becomes of who reads: writing never waits, never raises, and says afterwards what is missing."""

from __future__ import annotations

import ast
import errno
import io
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from daemon.monitoring import output
from daemon.monitoring.output import LineStream, Writer, outputs, shout

ROOT = Path(__file__).resolve().parents[3]


def until(what: Callable[[], object], within_s: float = 5.0) -> None:
    end = time.monotonic() + within_s
    while not what():
        assert time.monotonic() < end
        time.sleep(0.002)


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    read, write = os.pipe()
    yield read, write
    for descriptor in (read, write):
        try:
            os.close(descriptor)
        except OSError as error:
            assert error.errno == errno.EBADF


def test_lines_come_in_order_and_the_last_ones_are_waited_for(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = Writer(write, "stdout")
    for i in range(500):
        assert writer.write(f"line {i}")
    writer.close()
    assert writer.join(5.0)
    assert os.read(read, 1 << 16).decode().split("\n")[:-1] == [f"line {i}" for i in range(500)]
    assert not writer.write("too late") and writer.standing().dropped == 1


def test_a_stopped_reader_costs_lines_and_no_time_and_is_told_when_it_reads_again(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = Writer(write, "stdout", room=200_000)
    began = time.monotonic()
    taken = [writer.write("x" * 999) for _ in range(2000)]
    assert time.monotonic() - began < 1.0
    assert taken[0] and not taken[-1]
    assert 100 < sum(taken) < 300  # the room, and what the pipe itself holds
    dropped = writer.standing().dropped
    assert dropped == 2000 - sum(taken)
    received = b""
    while received.count(b"\n") < sum(taken):
        received += os.read(read, 1 << 20)
    until(lambda: not writer.standing().waiting)
    writer.write("again")
    until(lambda: writer.standing().written == sum(taken) + 1)
    received += os.read(read, 1 << 20)
    assert f"... {dropped} lines could not be written here" in received.decode()
    assert received.endswith(b"again\n")


def test_a_stopped_reader_leaves_room_for_what_is_urgent(pipe: tuple[int, int]) -> None:
    _, write = pipe
    writer = Writer(write, "stderr", room=1000)
    while writer.write("x" * 99_999, urgent=True):
        """Until the pipe, the room and what is kept free are full."""
    assert not writer.write("y" * 10)
    calm = Writer(os.open("/dev/full", os.O_WRONLY), "stderr", room=10)
    assert not calm.write("y" * 100) and calm.write("y" * 100, urgent=True)


def test_a_stalled_reader_is_named(pipe: tuple[int, int]) -> None:
    _, write = pipe
    now = [0.0]
    writer = Writer(write, "stdout", monotonic=lambda: now[0])
    for _ in range(20):
        writer.write("x" * 9999)
    until(lambda: 0 < writer.standing().waiting < 20)
    time.sleep(0.1)  # the thread has begun to wait
    assert writer.standing().trouble == ""
    now[0] = 60.0
    assert writer.standing().trouble == "its reader has taken nothing for 60 s"


def test_a_reader_that_has_gone_is_counted_and_nothing_else(pipe: tuple[int, int]) -> None:
    read, write = pipe
    writer = Writer(write, "stdout")
    os.close(read)
    for _ in range(3):
        assert writer.write("hello")
    until(lambda: writer.standing().dropped == 3)
    assert writer.standing().trouble == "Broken pipe"


def test_a_full_disk_loses_lines_until_there_is_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The second line gets out in part; the first one that fits begins on a line of its own."""
    file = tmp_path / "log"
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    left = [4 + 5]
    write = os.write

    def full(to: int, data: bytes) -> int:
        if to != descriptor:
            return write(to, data)
        if not left[0]:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        count = write(to, bytes(data)[: left[0]])
        left[0] -= count
        return count

    monkeypatch.setattr(output.os, "write", full)
    writer = Writer(descriptor, "stderr")
    for line in ("one", "twotwotwo", "three"):
        writer.write(line)
    until(lambda: writer.standing().dropped == 2)
    assert writer.standing().trouble == os.strerror(errno.ENOSPC)
    left[0] = 1000
    writer.write("four")
    until(lambda: writer.standing().written == 2)
    assert file.read_text().splitlines() == ["one", "twotw", "... 2 lines could not be written here", "four"]
    assert writer.standing().trouble == ""


def test_a_terminal_that_somebody_made_non_blocking_still_gets_every_line(pipe: tuple[int, int]) -> None:
    read, write = pipe
    os.set_blocking(write, False)
    writer = Writer(write, "stdout")
    for _ in range(30):
        writer.write("x" * 9999)
    received = 0
    while received < 30 * 10_000:
        received += len(os.read(read, 1 << 16))
        time.sleep(0.001)
    until(lambda: writer.standing().written == 30)
    assert writer.standing().dropped == 0


def test_odd_characters_are_written_as_far_as_they_can_be(pipe: tuple[int, int]) -> None:
    read, write = pipe
    Writer(write, "stdout").write("a\udc80b")
    assert os.read(read, 100) == b"a\\udc80b\n"


def test_text_is_written_line_by_line(pipe: tuple[int, int]) -> None:
    read, write = pipe
    stream = LineStream(Writer(write, "stdout"), write)
    print("a", "b", file=stream)
    assert stream.write("half") == 4
    print(" whole\nnext", file=stream, flush=True)
    until(lambda: stream.writer.standing().written == 3)
    assert os.read(read, 100) == b"a b\nhalf whole\nnext\n"
    assert not stream.isatty() and stream.fileno() == write and stream.writable()


SCRIPT = """
import sys, time, warnings
from daemon.monitoring.output import outputs, shout
class Odd:
    def __del__(self):
        raise ValueError("in a destructor")
began = time.monotonic()
with outputs() as made:
    for _ in range(8_000):
        print("x" * 999)
        shout("y" * 999)
    warnings.warn("look")
    Odd()
    took = time.monotonic() - began
    standing = made.standing()
open(sys.argv[1], "w").write(f"{took} {standing['stdout'].dropped} {standing['stderr'].dropped}")
print("the end")
raise SystemExit(0)
"""


@pytest.mark.parametrize("reader", ["stopped", "gone", "full"])
def test_a_process_goes_on_and_ends_whatever_its_reader_does(reader: str, tmp_path: Path) -> None:
    told = tmp_path / "told"
    if reader == "full":
        sink = os.open("/dev/full", os.O_WRONLY)
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(told)], cwd=ROOT, stdout=sink, stderr=sink)
        os.close(sink)
    else:
        read, write = os.pipe()
        process = subprocess.Popen([sys.executable, "-c", SCRIPT, str(told)], cwd=ROOT, stdout=write, stderr=write)
        os.close(write)
        if reader == "gone":
            os.close(read)
    try:
        assert process.wait(20.0) == 0
    finally:
        process.kill()
        if reader == "stopped":
            os.close(read)
    took, out, err = (float(each) for each in told.read_text().split())
    assert took < 10.0 and out > 0 and err > 0


def test_the_streams_are_put_back(capfd: pytest.CaptureFixture[str]) -> None:
    before = sys.stdout, sys.stderr
    with outputs() as made:
        print("said")
        shout("shouted")
        assert made.standing().keys() == {"stdout", "stderr"}
    assert (sys.stdout, sys.stderr) == before
    assert capfd.readouterr() == ("said\n", "shouted\n")


class Full(io.StringIO):
    def flush(self) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_shout_never_raises(monkeypatch: pytest.MonkeyPatch) -> None:
    full, closed = Full(), io.StringIO()
    closed.close()
    for stream in (full, closed, None):
        monkeypatch.setattr(sys, "stderr", stream)
        shout("not journaled")
    monkeypatch.undo()
    assert full.getvalue() == "not journaled\n"


def test_nobody_but_the_writer_and_the_commands_writes_to_a_standard_stream() -> None:
    """`print`, `sys.stdout` and `sys.stderr` belong to the commands and to the writer."""
    may = {"output.py", "log.py", "start.py"}
    found = [
        f"{path.relative_to(ROOT)}:{node.lineno}"
        for path in sorted((ROOT / "daemon").rglob("*.py"))
        if "cli" not in path.parts and path.name not in may
        for node in ast.walk(ast.parse(path.read_text()))
        if (isinstance(node, ast.Name) and node.id == "print")
        or (isinstance(node, ast.Attribute) and node.attr in ("stdout", "stderr", "__stdout__", "__stderr__"))
    ]
    assert found == []
    names = [n for n in ast.walk(ast.parse((ROOT / "daemon/process/start.py").read_text())) if isinstance(n, ast.Name)]
    assert not any(node.id == "print" for node in names)
