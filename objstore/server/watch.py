"""Files whose change is noticed: the configuration file, and the files that secrets stand in."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from objstore.config import PREFIX, SECRET_VARIABLES, Settings


def files_of(
    settings: Settings, *, config: Path | None, environment: Mapping[str, str]
) -> tuple[str, ...]:
    """Return the files that a server's configuration was read from."""
    named = str(config) if config is not None else environment.get(PREFIX + "CONFIG", "")
    found = (
        named,
        *(one.secret_in for one in settings.identities),
        *(environment.get(f"{PREFIX}{name}_FILE", "") for name in SECRET_VARIABLES),
    )
    return tuple(dict.fromkeys(file for file in found if file))


class FileWatch:
    """Tells when files have changed, once they have come to rest.

    A file that differs from one look to the next is perhaps still being written: half a
    configuration can be a valid one. It counts when two looks in a row find the same.
    """

    def __init__(self, files: Iterable[str]) -> None:
        self._files = tuple(files)
        self._known = self._seen = self._look()

    def watch(self, files: Iterable[str]) -> None:
        """Watch these files from now on, as they are now."""
        self._files = tuple(files)
        self._known = self._seen = self._look()

    def changed(self) -> bool:
        """Look once; tell whether there is a change that has come to rest, the first time only."""
        now = self._look()
        settled = now == self._seen
        self._seen = now
        if not settled or now == self._known:
            return False
        self._known = now
        return True

    def _look(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(_stamp, self._files))


def _stamp(file: str) -> tuple[int, ...]:
    """Return what changes when a file is written or replaced; of no file, nothing."""
    try:
        found = Path(file).stat()
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)
