"""What a state directory lies on: a disk of its own that can fill up, turn read-only, and hang, as a kernel does it.

An ext4 image on a loop device: `remount,abort` is what a failing disk leads to, `fsfreeze` makes every write wait. The
ledgers of the simulated venues lie on another disk, as venues do.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import cache
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory

SIZE = 192 << 20
INODES = 2048
TOOLS = ("mkfs.ext4", "e2fsck", "fsfreeze", "mount", "umount")
CHUNK = 1 << 20


class Disk:
    """Context manager: `at` is a disk of its own; `apart` are folders on it that lie elsewhere."""

    def __init__(self, at: Path, image: Path, apart: Iterable[tuple[Path, Path]] = ()) -> None:
        self.at = at
        self._image = image
        self._apart = tuple(apart)
        self._is_frozen = False

    def __enter__(self) -> Disk:
        with self._image.open("wb") as file:
            file.truncate(SIZE)
        run("mkfs.ext4", "-q", "-F", "-m", "0", "-N", str(INODES), str(self._image))
        self.at.mkdir(parents=True, exist_ok=True)
        self._mount()
        return self

    def __exit__(self, *_: object) -> None:
        with suppress(subprocess.CalledProcessError):
            self.heal()
        self._unmount()

    def fill(self) -> None:
        """No byte fits any more."""
        with (self.at / "ballast").open("wb", buffering=0) as file:
            for size in (CHUNK, 4096, 1):
                with suppress(OSError):
                    while True:
                        file.write(b"\0" * size)

    def use_up_inodes(self) -> None:
        """No file can be made any more."""
        (self.at / "many").mkdir()
        with suppress(OSError):
            for number in count():
                (self.at / "many" / str(number)).touch()

    def turn_read_only(self) -> None:
        run("mount", "-o", "remount,abort", str(self.at))

    def freeze(self) -> None:
        run("fsfreeze", "-f", str(self.at))
        self._is_frozen = True

    def heal(self) -> None:
        """Everything but read-only is over."""
        if self._is_frozen:
            run("fsfreeze", "-u", str(self.at))
            self._is_frozen = False
        with suppress(OSError):
            (self.at / "ballast").unlink(missing_ok=True)
            shutil.rmtree(self.at / "many", ignore_errors=True)

    def repair(self) -> None:
        """What an operator does with a disk that turned read-only; nobody may use it."""
        self._unmount()
        subprocess.run(["e2fsck", "-fy", str(self._image)], capture_output=True, check=False)
        self._mount()

    def _mount(self) -> None:
        run("mount", "-o", "loop,noatime", str(self._image), str(self.at))
        for there, elsewhere in self._apart:
            there.mkdir(parents=True, exist_ok=True)
            elsewhere.mkdir(parents=True, exist_ok=True)
            run("mount", "--bind", str(elsewhere), str(there))

    def _unmount(self) -> None:
        for there, _ in self._apart:
            subprocess.run(["umount", str(there)], capture_output=True, check=False)
        subprocess.run(["umount", str(self.at)], capture_output=True, check=False)


def run(*words: str) -> None:
    subprocess.run(words, capture_output=True, check=True)


@cache
def why_not() -> str:
    """Why disks cannot be made here, "" when they can."""
    if os.geteuid() != 0:
        return "mounting a disk needs root"
    for tool in TOOLS:
        if shutil.which(tool) is None:
            return f"there is no {tool}"
    try:
        with TemporaryDirectory() as folder, Disk(Path(folder) / "disk", Path(folder) / "image") as disk:
            disk.freeze()
            disk.heal()
    except subprocess.CalledProcessError as error:
        return f"{error.cmd[0]}: {error.stderr.decode().strip().splitlines()[-1:]}"
    return ""


@contextmanager
def unheard() -> Iterator[tuple[int, int]]:
    """Descriptors for a standard output that is closed and a standard error that takes nothing."""
    with ExitStack() as stack:
        read, write = os.pipe()
        os.close(read)
        stack.callback(os.close, write)
        full = os.open("/dev/full", os.O_WRONLY)
        stack.callback(os.close, full)
        yield write, full
