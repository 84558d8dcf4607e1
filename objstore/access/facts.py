"""What is known of one request, as conditions ask for it."""

from collections.abc import Mapping

from objstore.access.wildcard import Text

Context = Mapping[str, tuple[str, ...]]


class Facts:
    """A request's condition keys, and the texts that patterns were tried on so far."""

    __slots__ = ("_context", "_texts")

    def __init__(self, context: Context) -> None:
        """Take the values of each key; keys are in lower case."""
        self._context = context
        self._texts: dict[str, Text] = {}

    def values(self, key: str) -> tuple[str, ...]:
        """Return the values of a lower-case key, none when it is absent."""
        return self._context.get(key, ())

    def text(self, value: str) -> Text:
        """Return `value` for matching: the same one each time, so its index is built once."""
        found = self._texts.get(value)
        if found is None:
            found = self._texts[value] = Text(value)
        return found
