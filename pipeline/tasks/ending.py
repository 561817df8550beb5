"""What the end of a run is told that only the settings and the process know."""

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
    """The end of a run over these dates; `asked`: whether it asked the source."""
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
    """When a field is told to people, as [health] says."""
    settings = config.health()
    return Limits(settings.max_unreadable_share, settings.max_absent_share, settings.min_records)
