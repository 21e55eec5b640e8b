"""Of several attempts the first wins: one atomic operation, with links or without."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from simclr_spec.core.files import write_atomic

_NO_LINKS = {errno.EPERM, errno.EOPNOTSUPP, errno.ENOTSUP, errno.ENOSYS, errno.EMLINK, errno.EXDEV, errno.EACCES, errno.EINVAL}
"""What link(2) says where a file system has no hard links, or no more of them."""
_TAKEN = {errno.EEXIST, errno.ENOTEMPTY}
"""What rename(2) says of a folder whose new name a folder that is not empty has."""


def place_first(file: Path, name: Path, folder: Path) -> bool:
    """Give `file` the second name `name` if nothing has it; where there are no links, rename a folder with a copy to `folder`.

    Either is atomic and succeeds for one process only: False for any other. OSErrors name the path.
    """
    try:
        os.link(file, name)
    except FileExistsError:
        return False
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        return _rename_first(file, folder)
    return True


def _rename_first(file: Path, folder: Path) -> bool:
    prepared = file.parent / folder.name
    prepared.mkdir(exist_ok=True)
    write_atomic(prepared / file.name, file.read_bytes())
    try:
        prepared.rename(folder)
    except OSError as error:
        if error.errno not in _TAKEN:
            raise
        return False
    return True
