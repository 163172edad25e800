"""The field replays: a folder each with `replay.toml`, which tells it, and `drives.py`, which drives it."""
