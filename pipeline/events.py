"""Log lines as events: one line each, an event name and key=value fields, on the logger `pipeline`."""

import json
import logging
import sys
import warnings

from luigi.parameter import ParameterException, UnconsumedParameterWarning

from pipeline.errors import PipelineError
from pipeline.terminal import printable

logger = logging.getLogger("pipeline")

# luigi logs this text for an error in parameters or settings, which the user can fix
BEFORE_SCHEDULING = "Uncaught exception in luigi"


def emit(event: str, *, level: int = logging.INFO, **fields: object) -> None:
    """Log one event. Fields that are None are left out; never pass row values or secrets."""
    shown = [f"{key}={_shown(value)}" for key, value in fields.items() if value is not None]
    logger.log(level, " ".join([f"event={event}", *shown]))


def _shown(value: object) -> str:
    text = f"{value:.2f}" if isinstance(value, float) else str(value)
    is_bare = text and not any(char in text for char in ' "=\n')
    # an API's answer may hold characters that control a terminal
    return printable(text if is_bare else json.dumps(text, ensure_ascii=False))


class _OneLineErrors(logging.Filter):
    """Turns luigi's traceback of a PipelineError into one line: the user can fix the error without the code.

    An error that many tasks meet in a row, such as a full disk, is logged once.
    """

    _last_line = ""

    def filter(self, record: logging.LogRecord) -> bool:
        error = record.exc_info[1] if record.exc_info else None
        cause = _pipeline_error(error)
        if cause is not None:
            record.msg, record.args, record.exc_info = one_line(cause), (), None
            self._last_line, before = record.msg, self._last_line
            return record.msg != before
        elif isinstance(error, (ValueError, ParameterException)) and record.msg == BEFORE_SCHEDULING:
            record.msg, record.args, record.exc_info = one_line(error), (), None
        return True


def one_line(error: BaseException) -> str:
    """The error and its causes as one printable line, without a traceback."""
    found = _pipeline_error(error) or error
    texts = [f"{type(found).__name__}: {found}"]
    while found.__cause__ is not None and not isinstance(found, PipelineError):
        found = found.__cause__
        texts.append(str(found))
    return printable("; ".join(texts).replace("\n", " "))


def _pipeline_error(error: BaseException | None) -> PipelineError | None:
    while error is not None and not isinstance(error, PipelineError):
        error = error.__cause__ or error.__context__
    return error


def configure_logging() -> None:
    """Send events to stderr, unless the program has configured logging itself. Shorten luigi's tracebacks."""
    # luigi's warning shows the value of an unknown setting, which may be a secret. RunAll warns without the value
    warnings.filterwarnings("ignore", category=UnconsumedParameterWarning)
    if not logger.handlers and not logging.getLogger().handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)
        logger.propagate = False
    luigi_logger = logging.getLogger("luigi-interface")
    if not any(isinstance(known, _OneLineErrors) for known in luigi_logger.filters):
        luigi_logger.addFilter(_OneLineErrors())
