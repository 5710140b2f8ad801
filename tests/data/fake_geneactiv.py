"""GENEActiv .bin files as the recorder's software writes them."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

GAIN, OFFSET = (25283, 25370, 24988), (-395, 368, -295)
START = datetime(2020, 1, 30, 9, 17, 11)


def header(subject: str = "", pages: int = 4, rate: str = "100", gain: str = "25283") -> bytes:
    """59 lines, with empty fields filled with NUL bytes or blanks as real ones are."""
    fields = f"""Device Identity
Device Unique Serial Code:052192
Device Type:GENEActiv{" " * 11}
Device Model:1.1{" " * 17}
Device Firmware Version:Ver4.08a date14Jul14
Calibration Date:2019-04-18 12:47:10:000

Device Capabilities
Accelerometer Range:-8 to 8{" " * 13}
Accelerometer Resolution:0.0039{" " * 14}
Accelerometer Units:g{" " * 19}
Light Meter Range:0 to 5000{" " * 11}
Light Meter Resolution:5{" " * 19}
Light Meter Units:lux{" " * 17}
Temperature Sensor Range:0 to 70{" " * 13}
Temperature Sensor Resolution:0.1{" " * 17}
Temperature Sensor Units:deg. C{" " * 14}

Configuration Info
Measurement Frequency:{rate} Hz
Measurement Period:2 Hours
Start Time:2020-01-30 09:17:06:000
Time Zone:GMT +01:00

Trial Info
Study Centre:{chr(0) * 20}
Study Code:{chr(0) * 20}
Investigator ID:{chr(0) * 20}
Exercise Type:{chr(0) * 20}
Config Operator ID:{chr(0) * 20}
Config Time:2020-01-29 20:06:59:095
Config Notes:{chr(0) * 100}
Extract Operator ID:
Extract Time:2020-01-30 15:01:54:732
Extract Notes:(device clock drift 0,283s)

Subject Info
Device Location Code:left wrist
Subject Code:{subject.ljust(20, chr(0))}
Date of Birth:1990-1-1
Sex:male
Height:180
Weight:80
Handedness Code:right
Subject Notes:{chr(0) * 100}

Calibration Data
x gain:{gain}
x offset:{OFFSET[0]}
y gain:{GAIN[1]}
y offset:{OFFSET[1]}
z gain:{GAIN[2]}
z offset:{OFFSET[2]}
Volts:44
Lux:886

Memory Status
Number of Pages:{pages}

"""
    return fields.replace("\n", "\r\n").encode()


def page(number: int, raw: np.ndarray, rate: float = 100.0, later: float = 0.0) -> bytes:
    """A page of samples `(T, 3)` of -2048..2047, the light and the button beside them; `later` s behind its time."""
    words = ((raw.astype(np.int64) & 0xFFF) << np.array([36, 24, 12])).sum(axis=1) | 0x1CC
    time = START + timedelta(seconds=number * 300 / rate + later)
    lines = (
        "Recorded Data",
        "Device Unique Serial Code:052192",
        f"Sequence Number:{number}",
        f"Page Time:{time:%Y-%m-%d %H:%M:%S}:{time.microsecond // 1000:03d}",
        "Unassigned:",
        "Temperature:18.9",
        "Battery voltage:4.0149",
        "Device Status:Recording",
        f"Measurement Frequency:{rate:.1f}",
        "".join(f"{word:012X}" for word in words.tolist()),
    )
    return ("\r\n".join(lines) + "\r\n").encode()


def samples(count: int, seed: int = 0) -> np.ndarray:
    """Raw samples `(count, 3)`: all of the range, gravity mostly on x."""
    made = np.random.default_rng(seed).normal((250, 0, 0), 60, (count, 3)).round().astype(np.int16)
    made[:2] = (-2048, 2047, 0), (2047, -1, -2048)
    return made


def acceleration(raw: np.ndarray) -> np.ndarray:
    """As the maker's manual has it."""
    return ((raw * 100.0 - OFFSET) / GAIN).astype(np.float32)


def write(file: Path, raw: np.ndarray, subject: str = "", pages: Sequence[bytes] = ()) -> Path:
    """A recording of samples, or of pages."""
    made = pages or [page(i, raw[300 * i : 300 * (i + 1)]) for i in range(-(-len(raw) // 300))]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(header(subject, len(made)) + b"".join(made))
    return file
