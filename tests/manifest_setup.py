"""The least that a target's manifest says."""

from pathlib import Path

HEAD = 'name = "gw"\ntitle = "A gateway"\nversion = "1.0"\n'
START = '[start]\ncommand = ["gw", "--port", "{port}", "{backend_url}"]\n'


def write(tmp_path: Path, text: str) -> Path:
    file = tmp_path / "gw.toml"
    file.write_text(text, encoding="utf-8")
    return file
