#!/usr/bin/env python3
"""Installs a wheel into an empty environment and reads the sample: `python test_wheel.py WHEEL`."""

import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
TEST = """
import sys
import bouncewatch
store = sys.argv[1]
checked = bouncewatch.check(store, "--at", "2026-11-20T00:00:00Z")
(verdict,) = [one for one in checked["verdicts"] if (one["metric"], one["window"]) == ("bounce_rate", "24h")]
row = bouncewatch.connect(store).sql(
    "SELECT attempts, bounces FROM bw_rates_24h WHERE to_time = TIMESTAMPTZ '2026-11-20 00:00:00Z'").fetchall()[0]
assert row == (verdict["attempts"], verdict["count"]) == (957, 64), (row, verdict)
print("check and connect:", checked["status"], row)
"""

with tempfile.TemporaryDirectory() as folder:
    venv.create(folder, with_pip=True)
    binaries = Path(folder, "bin")
    subprocess.run([binaries / "pip", "install", "--quiet", f"{Path(sys.argv[1]).resolve()}[duckdb]"], check=True)
    store = Path(folder, "store")
    ingested = subprocess.run([binaries / "bouncewatch", "ingest", ROOT / "fixtures/sample", "--store", store, "--quiet"])
    # 1: the sample has two documents that cannot be read
    assert ingested.returncode == 1, ingested
    subprocess.run([binaries / "python", "-c", TEST, store], check=True)
