"""What all tasks share: common parameters, and the run's intent, lake and engine as plain values for the stages."""

import multiprocessing
import os
from collections.abc import Iterable
from dataclasses import replace
from datetime import timedelta
from functools import cache, cached_property
from pathlib import Path
from typing import Any

import luigi
from luigi.interface import core
from luigi.parameter import ParameterVisibility
from luigi.worker import TaskProcess

from pipeline import config
from pipeline.cluster import Cluster
from pipeline.contract import RAW_STAGE, Stage
from pipeline.engine import Engine, load_libraries
from pipeline.errors import BadSetting, PipelineError
from pipeline.lake import AS_OF_FORMAT, Intent, Lake, Run, done_later, why_failed
from pipeline.observe.settings import warn_of_no_file
from pipeline.tasks.announce import announce_failure
from pipeline.tasks.parameters import DatesParameter, StampParameter
from pipeline.tasks.scheduler import require_luigid
from pipeline.tasks.source import open_source
from pipeline.tasks.start import now, started_at
from pipeline.tasks.status import show_failures, watch
from pipeline.tasks.targets import PartitionTarget

# luigid's visualizer does not show these parameters
HIDDEN = ParameterVisibility.HIDDEN


class LakeTask(luigi.Task):
    """A task of the lake. `stamp` is the run's as_of, naive UTC.

    `stamp` is part of the task's id. Without it, luigid would take equal tasks of two runs for one task.
    """

    stamp = StampParameter(
        positional=False, visibility=HIDDEN, description="internal: the as_of of the run; set [run] as_of instead"
    )
    force = luigi.BoolParameter(positional=False, description="extract the chosen dates again and rebuild them")
    reprocess = luigi.BoolParameter(
        positional=False, description="rebuild the chosen dates from the landed raw files, without the source"
    )
    allow_shrink = luigi.BoolParameter(
        positional=False, description="accept an extraction that lacks many of the landed orders"
    )
    accept_fields = luigi.BoolParameter(
        positional=False,
        description="build the chosen dates although the map finds no amount, no line or no order in them",
    )
    reopen = luigi.BoolParameter(
        positional=False, visibility=HIDDEN, description="internal: extract the dates as if they were open"
    )
    keep_going = luigi.BoolParameter(
        positional=False, visibility=HIDDEN, description="internal: record a failed date and go on"
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        # only RunAll sets keep_going, and RunAll has checked the settings before it clones a task
        if not kwargs.get("keep_going"):
            config.validate()
            warn_of_no_file()
            require_luigid()
            refuse_several_workers()
        super().__init__(*args, **kwargs)
        if self.force and self.reprocess:
            raise BadSetting(
                "--force with --reprocess: expected only one; --force asks the source again, --reprocess does not"
            )

    @classmethod
    @cache
    def get_params(cls) -> Any:
        """Luigi's own method, cached, because it walks dir() at every call.

        Luigi calls it before it reads its command line and before it makes a task. So the run's start is taken here.
        """
        started_at()
        return super().get_params()

    def to_str_params(self, only_significant: bool = False, only_public: bool = False) -> Any:
        """As Luigi's method, but `only_public` is ignored, so that hidden parameters are part of the task's id."""
        return super().to_str_params(only_significant=only_significant)

    @cached_property
    def intent(self) -> Intent:
        settings = config.orders_api()
        return Intent(
            as_of=self.stamp,
            force=self.force,
            reprocess=self.reprocess,
            reopen=self.reopen,
            allow_shrink=self.allow_shrink,
            accept_fields=self.accept_fields,
            keep_going=self.keep_going,
            settle=timedelta(hours=settings.settle_hours),
            max_vanished_share=settings.max_vanished_share,
        )

    @property
    def this_run(self) -> Run:
        """The run of this task, as the stages take it."""
        return Run(open_lake(), self.intent, open_engine, the_cluster())

    def not_failed(self, stage: Stage, dates: list[str]) -> list[str]:
        """The dates that have not failed in this run, at the stage or at an earlier one.

        RunAll makes no task for a failed date: such a task would do nothing and count as done.
        """
        lake, intent = open_lake(), self.intent
        if not lake.files.has(intent.failures):
            return dates
        return [date for date in dates if why_failed(lake, stage, date, intent) is None]

    def on_failure(self, exception: BaseException) -> Any:
        announce_failure(open_lake(), self.intent, self.get_task_family(), exception)
        return self.error_text(exception)

    def error_text(self, exception: BaseException) -> Any:
        """The text that the scheduler shows for a failure: a PipelineError has no traceback in it."""
        return str(exception) if isinstance(exception, PipelineError) else super().on_failure(exception)


class PartitionTask(LakeTask):
    """A task of one or several dates. It builds all incomplete ones in one run()."""

    date = DatesParameter()
    stage: Stage

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if (self.force or self.reprocess) and not self.keep_going:
            refuse_if_done_later(self.date, self.intent)

    def deps(self) -> Any:
        import_once()
        return super().deps()

    def run(self) -> None:
        refuse_several_workers()
        self.build()
        show_failures(self, self.failures())

    def build(self) -> None:
        """Publish the stage of each incomplete date. Failures are noted (with keep_going) or raised at the end."""
        raise NotImplementedError

    def failures(self) -> dict[str, str]:
        """The task's dates that have failed in this run, at this stage or an earlier one, with their error text."""
        lake, found = open_lake(), {}
        for date in self.date:
            error = why_failed(lake, self.stage, date, self.intent)
            if error is not None:
                found[date] = error
        return found

    def output(self) -> list[PartitionTarget]:
        lake, intent = open_lake(), self.intent
        if not lake.files.has(intent.failures):
            # without any failure in the run, a target need not look for failures of its date
            intent = replace(intent, keep_going=False)
        return [PartitionTarget(lake, self.stage, date, intent, is_part=self.keep_going) for date in self.date]

    def due(self) -> list[str]:
        """The dates that are not complete."""
        return [target.date for target in self.output() if not target.exists()]

    @classmethod
    def bulk_complete(cls, parameter_tuples: Any) -> list[Any]:
        """The dates, of these, whose task is complete. Luigi's RangeDaily calls it.

        Without this method, RangeDaily would infer from the names of output files which dates are complete.
        """
        task: Any = cls
        return [value for value in parameter_tuples if task(date=value).complete()]


LakeTask.event_handler(luigi.Event.START)(watch)


@cache
def import_once() -> None:
    """Import the libraries that building needs. Call it in deps(), which luigi calls before it forks.

    With several workers each task runs in a fork of its own. Without this, each fork imports them again: 0.35 s a task.
    """
    load_libraries()
    open_source()


def refuse_if_done_later(dates: Iterable[str], intent: Intent) -> None:
    """Raise BadSetting if a run with a later as_of has made one of the dates: this run would skip that date.

    The cause is a wrong [run] as_of or a wrong clock. If [run] as_of is not set, a later as_of is accepted if it is
    not in the future: a run that started after this one has made the date, and its result is new enough.
    """
    later = done_later(open_lake(), dates, intent)
    as_of = config.run().as_of
    if later is None or (as_of is None and later[1] <= now().strftime(AS_OF_FORMAT)):
        return
    date, stamp = later
    flag = "--force" if intent.force else "--reprocess"
    mend = "remove [run] as_of, or set a later one"
    if as_of is None:
        mend = (
            "set this host's clock right; if the clock was ahead during that run, delete "
            f"{RAW_STAGE.manifest_at(date)} and run RunAll without {flag}"
        )
    raise BadSetting(
        f"{flag}: date={date} was made by a run as of {stamp}; this run is as of {intent.stamp}, so it would skip the "
        f"date; expected a later as_of; {mend}"
    )


def open_lake() -> Lake:
    """The lake that [storage] names."""
    settings = config.storage()
    root = Path(os.path.abspath(settings.root))
    return Lake(root, settings.lock_timeout_seconds, settings.fsync, settings.undated_days)


def the_cluster() -> Cluster | None:
    """The cluster of [cluster] address, which is not reached yet; None without an address."""
    address = config.cluster().address
    if not address:
        return None
    return _cluster_at(address, config.engine().memory_limit, config.storage().lock_timeout_seconds)


def refuse_several_workers() -> None:
    """Raise BadSetting if there is a cluster and Luigi runs tasks in forks: each would be a Spark application."""
    # under luigi.build(), only the fork of a task shows that there are several workers
    is_forked = core().workers > 1 or isinstance(multiprocessing.current_process(), TaskProcess)
    if config.cluster().address and is_forked:
        raise BadSetting(
            "--workers: expected 1, and no [worker] force_multiprocessing, with [cluster] address; the executors work "
            "side by side"
        )


@cache
def _cluster_at(*settings: Any) -> Cluster:
    """The same for all tasks of a run, because starting a session takes seconds."""
    return Cluster(*settings)


def open_engine(temp_directory: str | None = None) -> Engine:
    """An engine with the settings of [engine]; the caller closes it. It spills to temp_directory, else to .staging."""
    settings = config.engine()
    return Engine(
        memory_limit=settings.memory_limit,
        threads=settings.threads,
        temp_directory=temp_directory or open_lake().work.scratch("duckdb"),
    )
