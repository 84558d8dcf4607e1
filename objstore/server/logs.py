"""Logging: one line per event on standard error, as text or as JSON."""

import logging
import sys

import structlog

from objstore.server.order import LogFormat


def configure_logs(log_format: LogFormat, **bound: str | int) -> None:
    """Send every event to standard error; each carries `bound`."""
    as_json = log_format is LogFormat.JSON
    renderer = structlog.processors.JSONRenderer() if as_json else _render_text
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    # Libraries log through the standard library; only what is wrong in them is of interest.
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(levelname)s %(message)s"
    )


def _render_text(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    """Return `time level event key=value ...`, with a traceback on lines of its own."""
    stamp, level = event.pop("timestamp"), event.pop("level")
    said, trace = event.pop("event"), event.pop("exception", None)
    fields = "".join(f" {name}={_quoted(value)}" for name, value in event.items())
    return f"{stamp} {level:<7} {said}{fields}" + (f"\n{trace}" if trace else "")


def _quoted(value: object) -> str:
    text = str(value)
    # repr keeps a line one line, whatever a peer or a client put into the text.
    return text if text and text.isprintable() and " " not in text else repr(text)
