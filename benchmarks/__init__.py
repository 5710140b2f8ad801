"""Speed as ratios against named peers; `python -m benchmarks.step` from the repository's root (see README.md)."""
