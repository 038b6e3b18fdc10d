"""Reads stores of bouncewatch: `connect` for SQL with DuckDB, `check` for rates and status."""

import json
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

__all__ = ["check", "connect"]


def _program():
    """Returns the path of the command that this package installs."""
    name = "bouncewatch"
    for folder in (sysconfig.get_path("scripts"), Path(sys.executable).parent):
        path = Path(folder, name)
        if path.is_file():
            return str(path)
    found = shutil.which(name)
    if not found:
        raise FileNotFoundError("the command bouncewatch is not installed; run: pip install bouncewatch")
    return found


def _run(command):
    return subprocess.run([_program(), *command], stdout=subprocess.PIPE, text=True)


def check(store, *arguments):
    """Returns the JSON of `bouncewatch check` as a dict. The exit codes 0 to 3 are the status, not failures.

    `arguments` are further options, such as "--at", "2026-11-20T00:00:00Z".
    """
    done = _run(["check", "--store", str(store), "--format", "json", *map(str, arguments)])
    if not done.stdout:
        # the reason is on stderr
        raise subprocess.CalledProcessError(done.returncode, done.args)
    return json.loads(done.stdout)


def connect(store, *arguments):
    """Returns a DuckDB connection with the views of `bouncewatch views`: `bw_events`, `bw_rates_24h` and others.

    `arguments` are further options, such as "--own-domain", "example.com". Needs DuckDB: pip install bouncewatch[duckdb].
    """
    import duckdb

    done = _run(["views", "--store", str(store), *map(str, arguments)])
    done.check_returncode()
    connection = duckdb.connect()
    connection.execute(done.stdout)
    return connection
