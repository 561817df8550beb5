"""The deliberate errors of the pipeline. A message says what was found, what was expected and what to do."""


class PipelineError(Exception):
    """An error that the user can fix. It is shown in one line, without a traceback."""


class BadSetting(PipelineError):
    """A parameter, or a setting in luigi.cfg, has a value that cannot be used."""


class UnreadableSettings(BadSetting, SystemExit):
    """luigi.cfg cannot be parsed.

    This error is raised while the package is imported, so no command can catch it. As a SystemExit it ends the program:
    one line on stderr, no traceback, exit code 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = f"{type(self).__name__}: {message}"


class StorageUnusable(PipelineError):
    """[storage] root, or a file in it, cannot be read or written."""


class LakeBusy(PipelineError):
    """Another run held the lake's lock for longer than lock_timeout_seconds."""


class SourceUnreadable(PipelineError):
    """The source of orders cannot be read, such as a dump that is missing or changes while it is read."""


class UnreadableDump(SourceUnreadable):
    """A dump is not JSON as a whole, or it is cut off. Nothing of the dump is published."""


class RetriesExhausted(SourceUnreadable):
    """An API gave no page in all allowed attempts."""


class RequestRefused(SourceUnreadable):
    """An API refuses a request, and asking again is of no use."""


class EndlessPages(SourceUnreadable):
    """The pages of an API never end or hold more than max_window_bytes, or their records change in each pass."""


class PageTooLarge(SourceUnreadable):
    """A decompressed page of an API is larger than max_page_bytes."""


class DateFailed(PipelineError):
    """A date cannot be built. It does not stop the other dates."""


class NotLanded(DateFailed):
    """A date has no landed raw file, but the run has to reprocess it."""


class UnfitMap(DateFailed):
    """The map of the fields finds no valid record, no amount or no order line in many records. None is normalized."""


class ShrunkDate(DateFailed):
    """An extraction lacks more of a date's landed order_ids than max_vanished_share allows."""


class CorruptPartition(DateFailed):
    """A published file differs from its manifest."""


class UnreadableDimension(PipelineError):
    """users_csv or products_csv cannot be read as a table."""


class UnusableWarehouse(PipelineError):
    """warehouse.db is not a DuckDB database that can be rebuilt in place."""


class ExtraMissing(PipelineError):
    """A command needs the packages of an extra that is not installed."""


class NoScheduler(PipelineError):
    """No luigid answers, and the run has no local scheduler."""


class ClusterUnusable(PipelineError):
    """The cluster of [cluster] address cannot be reached, or an executor differs from this machine."""


class CheckFailed(PipelineError):
    """A data check found rows that violate it."""


class RunFailed(PipelineError):
    """Something could not be published. The message names each failure."""
