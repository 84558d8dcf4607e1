"""The configuration that a server runs, and what becomes of it when the operator changes it.

A change is taken whole or not at all: one that does not parse, or that touches what a running
server can not change, is logged, and the server goes on with what it has.
"""

from collections.abc import Callable
from dataclasses import replace

import structlog

from objstore.config import Secrets, Settings
from objstore.errors import ConfigError
from objstore.server.configuration import changed_names, generation_of
from objstore.server.plan import Plan
from objstore.server.watch import FileWatch
from objstore.topology.layout import layout_of

_log = structlog.get_logger(__name__)


class Reloadable:
    """A plan that follows its files."""

    def __init__(self, plan: Plan, reread: Callable[[], Plan]) -> None:
        """Begin with `plan`; `reread` reads it anew and raises ConfigError as `make_plan`."""
        self.plan = plan
        self._reread = reread
        self._watch = FileWatch(plan.files)

    def poll(self) -> bool:
        """Read the configuration if its files have changed; tell whether it is another one now."""
        return self._watch.changed() and self.read_again()

    def read_again(self) -> bool:
        """Read the configuration; tell whether it is another one now."""
        old = self.plan
        try:
            new = self._reread()
            if not _has_peers(new):  # its cluster secret is drawn at each start, for nobody else
                same = replace(new.secrets, cluster_secret=old.secrets.cluster_secret)
                new = replace(new, secrets=same)
            names = changed_names(_parts(old), _parts(new))
        except ConfigError as error:
            _log.error(
                "the configuration was changed and is refused; the one before stays",
                configuration=generation_of(*_parts(old)),
                found=error.found,
                expected=error.expected,
                what_to_do=error.remedy,
            )
            return False
        # What the files say may be the same and stand in other files.
        self.plan = replace(old, settings=new.settings, secrets=new.secrets, files=new.files)
        if new.files != old.files:
            self._watch.watch(new.files)
        if not names:
            _log.info("configuration read again: it is the same", configuration=_hash(self.plan))
            return False
        _log.info(
            "configuration read again",
            changed=", ".join(names),
            identities=len(new.settings.identities),
            before=_hash(old),
            configuration=_hash(self.plan),
        )
        return True


def _parts(plan: Plan) -> tuple[Settings, Secrets]:
    return plan.settings, plan.secrets


def _hash(plan: Plan) -> str:
    return generation_of(plan.settings, plan.secrets)


def _has_peers(plan: Plan) -> bool:
    return len(layout_of(plan.settings).servers) > 1
