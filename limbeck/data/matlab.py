"""Variables out of MATLAB files: structs as dicts, vectors as arrays of one dimension."""

import io
import zlib
from collections.abc import Sequence
from typing import Any

from limbeck.data.archive import Entry
from limbeck.errors import UserError


def load(entry: Entry, names: Sequence[str] | None) -> dict[str, Any]:
    """The variables of these names that a file holds (MATLAB 4 to 7.2), or all; others are passed over unread.

    Raises `UserError` where the file cannot be read, is damaged, or is of MATLAB 7.3, which is another format.
    """
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    # Any: scipy also takes open files, which its type hints leave out.
    source: Any = io.BytesIO(entry.read()) if entry.member else entry.file
    try:
        held = loadmat(source, variable_names=None if names is None else list(names), simplify_cells=True)
    except NotImplementedError:
        raise UserError(f"{entry.name}: MATLAB files of version 7.3 are not read; save it with -v7") from None
    # What scipy raises at damaged files, the last of them by a slip of its own.
    except (
        *(MatReadError, ValueError, TypeError, LookupError, OSError, OverflowError),
        *(zlib.error, MemoryError, UnboundLocalError),
    ) as error:
        raise UserError(f"{entry.name}: this MATLAB file is damaged: {error or type(error).__name__}") from None
    return {k: v for k, v in held.items() if (k in names if names is not None else not k.startswith("__"))}
