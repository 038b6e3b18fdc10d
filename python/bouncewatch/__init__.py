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


def check(store, *arguments):
    """Returns the JSON of `bouncewatch check` as a dict. The exit codes 0 to 3 are the status, not failures.

    `arguments` are further options, such as "--at", "2026-11-20T00:00:00Z".
    """
    command = [_program(), "check", "--store", str(store), "--format", "json", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    if not done.stdout:
        raise subprocess.CalledProcessError(done.returncode, command)
    return json.loads(done.stdout)


def connect(store):
    """Returns a DuckDB connection with the views of a store in a folder: `stored`, `unique_events`, `events`, and others.

    The views are those of the guide, "Query the store with SQL". Needs DuckDB: pip install bouncewatch[duckdb].
    """
    import duckdb

    events = Path(store).absolute() / "events"
    if not events.is_dir():
        raise FileNotFoundError(f"no store in {store}: the folder {events} does not exist")
    connection = duckdb.connect()
    connection.execute((Path(__file__).parent / "views.sql").read_text().replace("STORE", str(events.parent).replace("'", "''")))
    return connection
