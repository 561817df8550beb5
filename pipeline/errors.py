"""Every deliberate error of the pipeline; each message says what was found, what was expected and what to do.

PipelineError
├── BadSetting            a parameter or a key of luigi.cfg with a value that cannot be meant
│   └── UnreadableSettings  a luigi.cfg that cannot be parsed
├── StorageUnusable       [storage] root or a file in it cannot be read or written
├── LakeBusy              another run held the lake's lock for longer than lock_timeout_seconds
├── SourceUnreadable      the source has no answer: no such dump, not a file, broken compression
│   ├── UnreadableDump    a dump that is not JSON as a whole; nothing of it was published
│   ├── RetriesExhausted  an API that gave no page, however often it was asked
│   ├── RequestRefused    an API that will not answer such a request; asking again is of no use
│   ├── EndlessPages      pages without orders that never end, or that change while they are read
│   └── PageTooLarge      a page of more than max_page_bytes
├── DateFailed            one date that cannot be built; the other dates are
│   ├── NotLanded         --reprocess of a date that has no landed raw file
│   ├── UnfitMap          records among which the map of the fields finds no amount, no line, or nothing that is kept
│   ├── ShrunkDate        an extraction without many of the order_ids that are landed
│   └── CorruptPartition  a published file that is not what its manifest says
├── UnreadableDimension   users_csv or products_csv cannot be read as a table
├── UnusableWarehouse     warehouse.db is not a DuckDB database that can be rebuilt in place
├── ExtraMissing          packages of an extra that is not installed
├── NoScheduler           no luigid answers, and the run has no scheduler of its own
├── CheckFailed           a data check found rows that break it
└── RunFailed             what could be published is; the message names all that could not
"""


class PipelineError(Exception):
    """A mistake or a condition that the user can mend: shown in one line, without a traceback."""


class BadSetting(PipelineError):
    """A parameter or setting whose value cannot be used."""


class UnreadableSettings(BadSetting, SystemExit):
    """A luigi.cfg that cannot be parsed. It is raised while the package is imported, where no command could catch it.

    So it ends the program by itself: with its line on stderr, without a traceback, with exit code 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.code = f"{type(self).__name__}: {message}"


class StorageUnusable(PipelineError):
    """The lake's folder, or a file in it, cannot be read or written."""


class LakeBusy(PipelineError):
    """Another run holds the lake's lock."""


class SourceUnreadable(PipelineError):
    """The orders' source gave no answer that can be read."""


class UnreadableDump(SourceUnreadable):
    """A dump that is not JSON as a whole: nothing of it was published."""


class RetriesExhausted(SourceUnreadable):
    """The API gave no page at the last attempt either."""


class RequestRefused(SourceUnreadable):
    """The API refuses the request for good."""


class EndlessPages(SourceUnreadable):
    """The pages of a window come to no end, or never agree."""


class PageTooLarge(SourceUnreadable):
    """A page that is larger than max_page_bytes once inflated."""


class DateFailed(PipelineError):
    """One date that cannot be built; the others are."""


class NotLanded(DateFailed):
    """A date to reprocess that was never extracted."""


class UnfitMap(DateFailed):
    """A map that fits none of many records: nothing of them is normalized."""


class ShrunkDate(DateFailed):
    """An extraction that lacks too many of a date's landed orders."""


class CorruptPartition(DateFailed):
    """A published file that differs from what its manifest says."""


class UnreadableDimension(PipelineError):
    """A dimension's CSV that cannot be read as the table it should hold."""


class UnusableWarehouse(PipelineError):
    """A warehouse.db that DuckDB cannot open."""


class ExtraMissing(PipelineError):
    """A command whose packages are an extra that is not installed."""


class NoScheduler(PipelineError):
    """No luigid answers where the run looks for one."""


class CheckFailed(PipelineError):
    """A data check that found rows."""


class RunFailed(PipelineError):
    """The end of a run in which something could not be published."""
