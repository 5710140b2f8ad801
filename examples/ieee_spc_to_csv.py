"""Six people of IEEE SPC 2015 to a folder of CSV files: python examples/ieee_spc_to_csv.py SPC/Training_data FOLDER."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import scipy.io

out = Path(sys.argv[2])
out.mkdir(parents=True, exist_ok=True)
for number, path in enumerate(sorted(Path(sys.argv[1]).glob("DATA_*_TYPE0?.mat"))[:6], start=1):
    signal = scipy.io.loadmat(path)["sig"]
    bpm = scipy.io.loadmat(path.with_name(f"{path.stem}_BPMtrace.mat"))["BPM0"].ravel()
    frame = pd.DataFrame(np.round(signal[[1, 3, 4, 5]].T, 4), columns=["ppg", "acc_x", "acc_y", "acc_z"])
    frame.insert(0, "time", np.round(frame.index / 125, 3))
    # a value is of 8 s, every 2 s: it is written where these have their middle
    at = np.rint((4 + 2 * np.arange(len(bpm))) * 125).astype(int)
    known = at < len(frame)
    frame.loc[at[known], "heart_rate"] = np.round(bpm[known], 2)
    frame["activity"] = np.where(frame["time"] < 30, "rest", "run")
    frame["subject"] = f"p{number}"
    frame.to_csv(out / f"p{number}.csv", index=False)
