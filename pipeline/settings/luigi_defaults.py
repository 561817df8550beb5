"""What the pipeline relies on in Luigi: the values that luigi.cfg sets for it, which hold without that file, too."""

from luigi.configuration import get_config

# luigi.cfg says what each is for; a test holds the two together
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
    """Make them hold where no file says otherwise."""
    for section, values in DEFAULTS.items():
        for key, value in values.items():
            if not get_config().has_option(section, key):
                get_config().set(section, key, value)
