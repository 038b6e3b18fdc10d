#!/usr/bin/env python3
"""Spark job: counts of a bouncewatch store for `bouncewatch check --counts`.

    bouncewatch views --store s3a://bucket/prefix --dialect spark --by tag:campaign > views.sql
    spark-submit counts.py --views views.sql --output counts.csv
    bouncewatch check --counts counts.csv --alert-state alerts.json

The text of the views names the store, the own domains, the windows and the groupings. See README.md beside this file.
"""

import argparse
import csv
import os
import sys
from pathlib import Path


def arguments():
    parser = argparse.ArgumentParser(description="Writes counts of a bouncewatch store for bouncewatch check --counts.")
    parser.add_argument("--views", required=True, type=Path, help="text of bouncewatch views --dialect spark")
    parser.add_argument("--prefix", default="bw_", help="start of the names of the views, as in bouncewatch views [default: bw_]")
    parser.add_argument("--output", required=True, help="CSV file for the counts, or - for stdout")
    return parser.parse_args()


def statements(sql):
    """Splits the text of the views: each statement ends with a semicolon at the end of a line."""
    lines = [line for line in sql.splitlines() if not line.lstrip().startswith("--")]
    return [statement for statement in "\n".join(lines).split(";\n") if statement.strip()]


def write(columns, rows, out):
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(columns)
    writer.writerows(rows)


def main():
    from pyspark.sql import SparkSession

    options = arguments()
    spark = SparkSession.builder.appName("bouncewatch counts").getOrCreate()
    for statement in statements(options.views.read_text(encoding="utf-8") + "\n"):
        spark.sql(statement.strip().removesuffix(";"))
    counts = spark.sql(f"SELECT * FROM {options.prefix}counts")
    # one row per scope and window: small, whatever the number of events
    rows = [tuple(row) for row in counts.collect()]
    if options.output == "-":
        write(counts.columns, rows, sys.stdout)
        return
    # a reader never sees a part of the file
    staged = f"{options.output}.part"
    with open(staged, "w", encoding="utf-8", newline="") as out:
        write(counts.columns, rows, out)
        out.flush()
        os.fsync(out.fileno())
    os.replace(staged, options.output)


if __name__ == "__main__":
    main()
