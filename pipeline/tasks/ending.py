"""Makes the Ending of a run: the stages read neither settings nor a clock, so the task hands them over."""

from pipeline import config
from pipeline.errors import PipelineError
from pipeline.observe.health import Limits
from pipeline.observe.history import Options
from pipeline.observe.output import SHORT, Wanted
from pipeline.sources.base import Source
from pipeline.stages.conclude import Ending
from pipeline.tasks.dims import warehouse_path
from pipeline.tasks.start import seconds_since_start


def ending(
    dates: list[str],
    options: Options,
    source: Source,
    errors: list[PipelineError],
    *,
    asked: bool,
    shown: Wanted = SHORT,
) -> Ending:
    """The Ending of a run over these dates. `asked` is false if the run did not ask the source."""
    return Ending(
        dates=dates,
        warehouse=warehouse_path(),
        source=source if asked else None,
        fields=source.shape.fields,
        limits=limits(),
        options=options,
        errors=errors,
        elapsed=seconds_since_start,
        shown=shown,
    )


def limits() -> Limits:
    """The limits of [health], beyond which a field is reported."""
    settings = config.health()
    return Limits(settings.max_unreadable_share, settings.max_absent_share, settings.min_records)
