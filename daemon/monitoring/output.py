"""Output that nobody waits for: lines go into a bounded queue, and a thread of its own writes them.

Theory of operation. A terminal can be stopped, a pipe closed, a disk full; whoever writes there waits or gets an error.
So the daemon never writes: it leaves a line in the queue of a `Writer`, which neither waits nor raises. What does not
fit is dropped and counted, and the next line that is written says how many there were. The thread is a daemon thread:
it never keeps the process from exiting. Inside `outputs()` sys.stdout and sys.stderr themselves are such queues, so
that a library, a warning or a hook that prints cannot hurt either.

*Only this file writes to the standard streams of a running daemon.*
"""

from __future__ import annotations

import errno
import io
import os
import select
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

ROOM_BYTES = 4 << 20
URGENT_BYTES = 1 << 20  # kept free for what says why money is in danger
LONGEST_LINE = 1 << 20
LAST_WORDS_S = 1.0
STALLED_S = 5.0
_LOOK_AGAIN_MS = 1000


class Stream(msgspec.Struct, frozen=True, kw_only=True):
    """How one stream stands: lines written, dropped and waiting; `trouble` is empty while lines go out."""

    name: str
    written: int
    dropped: int
    waiting: int
    trouble: str


class Writer:
    """Lines for one descriptor. `write` may be called from any thread; it takes what there is room for."""

    def __init__(
        self, descriptor: int, name: str, *, room: int = ROOM_BYTES, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        self.name = name
        self._descriptor = descriptor
        self._room = room
        self._monotonic = monotonic
        self._lines: deque[bytes] = deque()
        # Re-entrant: a line may be left by a destructor that runs while this thread leaves another.
        self._change = threading.Condition(threading.RLock())
        self._bytes = 0
        self._written = 0
        self._dropped = 0
        self._untold = 0
        self._error = ""
        self._busy_since: float | None = None
        self._closed = False
        self._is_cut = False  # the last line got out in part: the next one begins on a line of its own
        self._thread = threading.Thread(target=self._write_all, name=f"write {name}", daemon=True)
        self._thread.start()

    def write(self, line: str, *, urgent: bool = False) -> bool:
        """Leaves a line to be written; False when there is no room for it: it is dropped and counted."""
        data = line.encode("utf-8", "backslashreplace")[:LONGEST_LINE] + b"\n"
        with self._change:
            if self._closed or self._bytes + len(data) > self._room + (URGENT_BYTES if urgent else 0):
                self._dropped += 1
                self._untold += 1
                return False
            self._lines.append(data)
            self._bytes += len(data)
            self._change.notify()
            return True

    def standing(self) -> Stream:
        with self._change:
            trouble = self._error
            if not trouble and self._busy_since is not None:
                silent = self._monotonic() - self._busy_since
                trouble = f"its reader has taken nothing for {silent:.0f} s" if silent > STALLED_S else ""
            return Stream(
                name=self.name,
                written=self._written,
                dropped=self._dropped,
                waiting=len(self._lines),
                trouble=trouble,
            )

    def close(self) -> None:
        """Takes no more lines; what waits is still written, for as long as the process lives."""
        with self._change:
            self._closed = True
            self._change.notify()

    def join(self, timeout_s: float) -> bool:
        """Waits until everything is written, at most so long."""
        self._thread.join(max(timeout_s, 0.0))
        return not self._thread.is_alive()

    def _write_all(self) -> None:
        while True:
            with self._change:
                while not self._lines:
                    if self._closed:
                        return
                    self._change.wait()
                data = self._lines.popleft()
                untold, self._untold = self._untold, 0
                self._busy_since = self._monotonic()
            if untold:
                data = f"... {untold} lines could not be written here\n".encode() + data
            error = self._put(b"\n" + data if self._is_cut else data)
            with self._change:
                self._bytes -= len(data) if not untold else len(data) - data.index(b"\n") - 1
                self._busy_since = None
                self._error = error
                if error:
                    self._dropped += 1
                    self._untold += untold + 1
                else:
                    self._written += 1

    def _put(self, data: bytes) -> str:
        """Writes it all, however long that takes; what went wrong, "" when nothing did."""
        left = memoryview(data)
        try:
            while left:
                try:
                    left = left[os.write(self._descriptor, left) :]
                except BlockingIOError:  # somebody else made the terminal non-blocking
                    poll = select.poll()
                    poll.register(self._descriptor, select.POLLOUT)
                    poll.poll(_LOOK_AGAIN_MS)
        except OSError as error:
            self._is_cut = (self._is_cut and len(left) == len(data)) or 0 < len(left) < len(data)
            return error.strerror or errno.errorcode.get(error.errno or 0, "cannot be written")
        self._is_cut = False
        return ""


class LineStream(io.TextIOBase):
    """In the place of sys.stdout or sys.stderr: whole lines go to the writer, and nothing is ever waited for."""

    encoding = "utf-8"

    def __init__(self, writer: Writer, descriptor: int) -> None:
        super().__init__()
        self.writer = writer
        self._descriptor = descriptor
        self._begun = ""

    def write(self, text: str) -> int:
        *lines, self._begun = (self._begun + text).split("\n")
        for line in lines:
            self.writer.write(line)
        if len(self._begun) > LONGEST_LINE:
            self.writer.write(self._begun)
            self._begun = ""
        return len(text)

    def flush(self) -> None:
        """There is nothing to wait for."""

    def writable(self) -> bool:
        return True

    def isatty(self) -> bool:
        try:
            return os.isatty(self._descriptor)
        except OSError:
            return False

    def fileno(self) -> int:
        return self._descriptor


class Outputs(msgspec.Struct, frozen=True):
    """The two streams of the process."""

    out: Writer
    err: Writer

    def standing(self) -> Mapping[str, Stream]:
        return {writer.name: writer.standing() for writer in (self.out, self.err)}


@contextmanager
def outputs() -> Iterator[Outputs]:
    """Both streams go through writers until the end of the block, which waits a moment for the last words; inside of
    such a block, those of the outer one."""
    before = sys.stdout, sys.stderr
    if isinstance(sys.stdout, LineStream) and isinstance(sys.stderr, LineStream):
        yield Outputs(sys.stdout.writer, sys.stderr.writer)
        return
    for stream in before:
        _flush(stream)
    made = Outputs(Writer(1, "stdout"), Writer(2, "stderr"))
    sys.stdout, sys.stderr = LineStream(made.out, 1), LineStream(made.err, 2)
    try:
        yield made
    finally:
        made.out.close()
        made.err.close()
        until = time.monotonic() + LAST_WORDS_S
        # A stream that did not take the last words stays as it is: what still prints there would hang or fail.
        if made.out.join(until - time.monotonic()) and not made.out.standing().trouble:
            sys.stdout = before[0]
        if made.err.join(until - time.monotonic()) and not made.err.standing().trouble:
            sys.stderr = before[1]


def say(line: str) -> None:
    """One line on standard output; it never raises, and inside `outputs` it never waits."""
    _leave(sys.stdout, line, urgent=False)


def shout(text: str) -> None:
    """Says on standard error what must be known and could not be kept; it never raises, and inside `outputs` it never
    waits."""
    _leave(sys.stderr, text, urgent=True)


def _leave(stream: Any, line: str, *, urgent: bool) -> None:
    try:
        if isinstance(stream, LineStream):
            stream.writer.write(line, urgent=urgent)
        elif stream is not None:
            stream.write(line + "\n")
            stream.flush()
    except (OSError, ValueError):
        return


def _flush(stream: Any) -> None:
    try:
        if stream is not None:
            stream.flush()
    except (OSError, ValueError):
        return
