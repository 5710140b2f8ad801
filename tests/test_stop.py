"""The wish to stop: heard once without harm, and at once the second time."""

import signal
import threading

import pytest

from limbeck.stop import Stop


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_first_is_a_wish_and_the_second_stops_at_once(number: int) -> None:
    before = [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)]
    stop = Stop()
    with stop.listening():
        assert not stop.asked
        signal.raise_signal(number)
        assert stop.asked
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)
    assert [signal.getsignal(n) for n in (signal.SIGINT, signal.SIGTERM)] == before


def test_a_wish_outlives_its_block() -> None:
    stop = Stop()
    with stop.listening():
        signal.raise_signal(signal.SIGINT)
    with stop.listening():
        assert stop.asked


def test_beside_the_main_thread_it_listens_to_nothing_and_does_no_harm() -> None:
    heard: list[bool] = []

    def work() -> None:
        stop = Stop()
        with stop.listening():
            heard.append(stop.asked)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert heard == [False]
