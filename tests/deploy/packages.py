"""The package that the tests deploy, and the same under a later version's name."""

import os
import subprocess
import zipfile
from pathlib import Path

from tests.deploy.machines import ROOT, TOOLS


def build_wheel(directory: Path) -> Path:
    """Build a wheel of this repository without the network."""
    source = directory / "source"
    source.mkdir()
    # Not in the repository itself: setuptools leaves its build directory where the source is.
    for name in ("pyproject.toml", "README.md", "LICENSE", "config", "objstore"):
        subprocess.run(["cp", "-a", ROOT / name, source], check=True)
    build: list[str | Path] = [
        TOOLS / "venv/bin/python",
        "-m",
        "pip",
        "wheel",
        "--quiet",
        "--no-deps",
    ]
    options: list[str | Path] = [
        "--no-index",
        "--no-build-isolation",
        "--wheel-dir",
        directory,
        source,
    ]
    subprocess.run([*build, *options], check=True, env={"PATH": os.environ["PATH"]})
    (wheel,) = directory.glob("objstore-*.whl")
    return wheel


def as_version(wheel: Path, version: str, directory: Path) -> Path:
    """Return the same package as if it were released as `version`."""
    old = wheel.name.split("-")[1]
    renamed = directory / wheel.name.replace(old, version, 1)
    info = f"objstore-{old}.dist-info"
    with zipfile.ZipFile(wheel) as source, zipfile.ZipFile(renamed, "w") as target:
        for entry in source.infolist():
            content = source.read(entry)
            if entry.filename in {f"{info}/METADATA", f"{info}/RECORD", "objstore/__init__.py"}:
                content = content.replace(old.encode(), version.encode())
            target.writestr(entry.filename.replace(old, version), content)
    return renamed
