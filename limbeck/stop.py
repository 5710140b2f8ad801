"""The wish to stop, from a keyboard or a system that shuts down, heard without harm to the step at hand."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager


class Stop:
    """`asked` is true once Ctrl-C or SIGTERM came while it was listening."""

    def __init__(self) -> None:
        self.asked = False

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Turns the first Ctrl-C or SIGTERM into a wish; a second one stops at once."""

        def ask(number: int, frame: object) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        try:
            before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
        except ValueError:  # not the main thread: whoever started it has the signals
            yield
            return
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
