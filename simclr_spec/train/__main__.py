"""`python -m simclr_spec.train FOLDER...`: execute each run folder in turn; a job's one command.

Exit code 0: all done (or in other hands) · 1: some failed · 2: no folder given · 75 (EX_TEMPFAIL): asked to stop, run the same
command again.

With several processes rank 0 says 75, and the others 0, so that no launcher takes them for failed while it still leaves; and
once a Step has failed they leave, since their process group cannot be used again.
"""

from __future__ import annotations

import os
import sys
import traceback
from pathlib import Path

from simclr_spec.core.errors import Interrupted, SimclrSpecError
from simclr_spec.train import distributed
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
            return os.EX_TEMPFAIL if distributed.rank() == 0 else 0
        except Exception as error:
            print(f"{folder}: {error}" if isinstance(error, SimclrSpecError) else traceback.format_exc(), file=sys.stderr)
            failed = True
            if distributed.world_size() > 1:
                break
    return int(failed)


if __name__ == "__main__":
    distributed.leave(main(sys.argv[1:]))
