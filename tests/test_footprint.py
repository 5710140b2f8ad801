"""What training costs: time of the steps alone, and the high-water mark of memory."""

import time

import pytest
import torch

from limbeck import resident
from limbeck.footprint import Footprint


def test_only_steps_are_timed() -> None:
    footprint = Footprint(torch.device("cpu"))
    for _ in range(2):
        footprint.begin()
        time.sleep(0.05)
        footprint.rest()
        time.sleep(0.1)
    told = footprint.told(4)
    assert told["steps"] == 4
    assert told["step"] == pytest.approx(0.1 / 4, rel=0.5)
    assert told["device"] is None
    assert footprint.told(0)["step"] is None


@pytest.mark.skipif(not resident.STATUS.is_file(), reason="this system does not tell the high-water mark anew")
def test_the_peak_is_of_what_came_since() -> None:
    def touched(megabytes: int) -> None:
        torch.ones(megabytes * 2**18).sum()

    touched(200)
    footprint = Footprint(torch.device("cpu"))
    footprint.begin()
    touched(60)
    footprint.rest()
    told = footprint.told(1)
    grown = told["peak"] - told["before"]
    assert 50 * 2**20 < grown < 120 * 2**20
