"""`python -m tests.audit RESULTS_FOLDER…`: makes the accounts of runs again and prints where the books differ."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.audit.books import read
from tests.audit.findings import differences


def main(folders: list[str]) -> int:
    wrong = False
    for folder in folders:
        found = list(differences(read(Path(folder))))
        wrong |= bool(found)
        print(f"{folder}: {'true' if not found else f'{len(found)} differences'}")
        for line in found:
            print(f"    {line}")
    return int(wrong)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
