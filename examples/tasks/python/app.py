"""Tells mean, median and standard deviation of the numbers on standard input, one in each line."""

import statistics
import sys

from componentize_py_types import Err
from wit_world import exports


class Run(exports.Run):
    """The world's one export: what a command component is started by."""

    def run(self) -> None:
        try:
            numbers = [float(line) for line in sys.stdin if line.strip()]
            mean, median, spread = statistics.mean(numbers), statistics.median(numbers), statistics.stdev(numbers)
        except ValueError as error:
            print(f"stats: {error}", file=sys.stderr)
            raise Err(None) from error
        print(f"n {len(numbers)}  mean {mean:g}  median {median:g}  stdev {spread:g}")
        sys.stdout.flush()
