"""A quickstart's directory: what makes it one, and what must not change in it.

credentials            secrets, mode 0600 (cli/credentials.py)
quickstart.json        the endpoints now, and the layout its drives were made for
layout.toml            what every server is started with
serverN/server.log     a server's log
serverN/driveM/        a drive
"""

import json
from pathlib import Path
from typing import Final

from objstore.cli.local_layout import LocalLayout
from objstore.errors import ConfigError

FILE_NAME: Final = "quickstart.json"
_SHOWN: Final = 5
_FORMAT: Final = 1


def claim(directory: Path, local: LocalLayout, endpoints: tuple[str, ...]) -> bool:
    """Make `directory` a quickstart's, or check that it is one of the same layout.

    Returns whether it is new.

    Raises:
        ConfigError: it holds something else, or was made for another layout.
    """
    path = directory / FILE_NAME
    try:
        directory.mkdir(parents=True, exist_ok=True)
        names = sorted(entry.name for entry in directory.iterdir() if entry.name != "lost+found")
    except OSError as error:
        raise ConfigError(
            found=f"{directory}: {error.strerror}",
            expected="a directory that this user may write, or one that can be made",
            remedy="choose another directory",
        ) from error
    if names and FILE_NAME not in names:
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        raise ConfigError(
            found=f"{directory} holds {', '.join(names[:_SHOWN])}{more}, and no {FILE_NAME}",
            expected="an empty directory, or the directory of a quickstart",
            remedy="choose another directory",
        )
    layout = local.describe(directory)
    if names:
        _check_same(path, layout)
    document = {"format": _FORMAT, "endpoints": list(endpoints), "layout": layout}
    beside = path.with_suffix(".json.new")
    beside.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    beside.rename(path)
    return not names


def _check_same(path: Path, layout: list[dict[str, object]]) -> None:
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        held = document["layout"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ConfigError(
            found=f"{path}, which cannot be read ({error})",
            expected="what quickstart wrote there",
            remedy="put it back, or choose another directory",
        ) from error
    if document.get("format") != _FORMAT:
        raise ConfigError(
            found=f"{path} of format {document.get('format')!r}",
            expected=f"format {_FORMAT}",
            remedy="start the objstore version that made it",
        )
    if held != layout:
        raise ConfigError(
            found=f"{path.parent} was made for {_words(held)}",
            expected=f"the layout asked for: {_words(layout)}",
            remedy="start it as it was made (--parity, --layout), or choose another directory for "
            "the other layout",
        )


def _words(layout: object) -> str:
    """Describe a layout in a few words; the file may have been edited, so trust nothing of it."""
    if not isinstance(layout, list):
        return "something unknown"
    parts = []
    for one in layout:
        try:
            drives, data, parity = one["drives"], one["data"], one["parity"]
            slots = ", ".join(map(str, one["slots"]))
            parts.append(f"{data} + {parity} on {len(drives)} drives (slots on drives {slots})")
        except (KeyError, TypeError):
            return "something unknown"
    return "; ".join(parts)
