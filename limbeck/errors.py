"""The errors that a user can mend: each is one line that names the thing and says what to do."""

from collections.abc import Iterable
from difflib import get_close_matches

LISTED = 60
"""Known names that an error lists; of more it tells the number."""


class UserError(Exception):
    """A mistake in what was asked for or in the files given; the command line prints it as one line and exits with
    2."""


class InUse(UserError):
    """The folder belongs to another process at the moment."""


class Interrupted(Exception):
    """The run was asked to stop; its state is saved and it can be resumed."""


def unknown(what: str, given: str, known: Iterable[str]) -> UserError:
    """The error for a name that nothing has: repeats the user's word, names the nearest known one, lists the rest."""
    names = sorted(known)
    rest = ", ".join(names[:LISTED]) + (f" and {len(names) - LISTED:,} more" if len(names) > LISTED else "")
    near = get_close_matches(given, names, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return UserError(
        f"no {what} {given!r}{hint} Known: {rest or 'none'}"
        if hint
        else f"no {what} {given!r}; known: {rest or 'none'}"
    )
