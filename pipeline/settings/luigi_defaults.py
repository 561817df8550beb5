"""The values that the pipeline needs in Luigi's own settings, for use without the luigi.cfg of the pipeline."""

from luigi.configuration import get_config

# luigi.cfg explains each value; a test checks that both have the same values
DEFAULTS = {
    "core": {
        "no_lock": "true",
        "log_level": "WARNING",
        "autoload_range": "false",
    },
    "retcode": {
        "already_running": "10",
        "missing_data": "20",
        "not_run": "25",
        "task_failed": "30",
        "scheduling_error": "35",
        "unhandled_exception": "40",
    },
    "scheduler": {
        "state_path": "luigid-state.pickle",
        "record_task_history": "true",
        "metrics_collector": "prometheus",
        "stable_done_cooldown_secs": "0",
        "worker_disconnect_delay": "15",
        "retry_delay": "-1",
    },
    "task_history": {
        "db_connection": "sqlite:///luigid-history.db",
    },
}


def fill_in() -> None:
    """Set each of DEFAULTS that no settings file sets."""
    for section, values in DEFAULTS.items():
        for key, value in values.items():
            if not get_config().has_option(section, key):
                get_config().set(section, key, value)
