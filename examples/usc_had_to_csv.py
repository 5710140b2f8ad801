"""USC-HAD's zip to a folder of CSV files: python examples/usc_had_to_csv.py USC-HAD.zip FOLDER."""

import io
import re
import sys
import zipfile
from pathlib import Path

import pandas as pd
import scipy.io

NAMES = (
    *("walk forward", "walk left", "walk right", "upstairs", "downstairs", "run"),
    *("jump", "sit", "stand", "sleep", "elevator up", "elevator down"),
)

out = Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
with zipfile.ZipFile(sys.argv[1]) as archive:
    for member in archive.namelist():
        if found := re.search(r"Subject(\d+)/a(\d+)t(\d+)\.mat$", member):
            subject, activity, trial = map(int, found.groups())
            values = scipy.io.loadmat(io.BytesIO(archive.read(member)))["sensor_readings"]
            frame = pd.DataFrame(values, columns=["ax", "ay", "az", "gx", "gy", "gz"])
            frame.insert(0, "time", frame.index / 100)
            frame["subject"], frame["activity"] = f"S{subject}", NAMES[activity - 1]
            frame["intensity"] = "moving" if activity < 8 else "at rest"
            frame.to_csv(out / f"S{subject}-{activity}-{trial}.csv", index=False)
