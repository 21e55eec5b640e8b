"""`python -m simclr_spec.train FOLDER...`: execute each run folder in turn; a job's one command.

Exit code 0: all done (or in other hands) · 1: some failed · 2: no folder given · 75 (EX_TEMPFAIL): asked to stop, run the same
command again.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from simclr_spec.core.errors import Interrupted, SimclrSpecError
from simclr_spec.train.loop.execute import execute


def main(folders: list[str]) -> int:
    if not folders:
        print("usage: python -m simclr_spec.train FOLDER...", file=sys.stderr)
        return 2
    failed = False
    for folder in folders:
        try:
            execute(Path(folder))
        except Interrupted:
            return os.EX_TEMPFAIL
        except SimclrSpecError as error:
            print(f"{folder}: {error}", file=sys.stderr)
            failed = True
        except Exception:
            traceback.print_exc()
            failed = True
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
