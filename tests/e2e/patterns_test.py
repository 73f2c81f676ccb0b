#!/usr/bin/env python3
"""Every program in examples/patterns prints what it should on 1, 2 and 4 processors, and leaves nothing running."""
import os
import pathlib
import subprocess
import sys
import unittest

SOURCE = pathlib.Path(os.environ["WEFT_SOURCE_DIR"])
BIN = pathlib.Path(os.environ["WEFT_BUILD_DIR"]) / "bin"
PATIENCE = 120.0  # for a program that ends in a moment, however slow the machine

EXPECTED = {
    "cancellation": """\
a trip within 1000 ms
  flight: undone
  room: pay for the room: no car is left
  car: no car is left
  no car is left
a trip within 12 ms
  flight: undone
  room: find a room: context deadline exceeded
  car: context deadline exceeded
  context deadline exceeded
a trip within 5 ms
  flight: context deadline exceeded
  room: find a room: context deadline exceeded
  car: context deadline exceeded
  context deadline exceeded
""",
    "fan_in": """\
more than 175 steps, below 1000: 871
more than 200 steps, below 1000: 0
""",
    "pipeline": """\
1
16
81
256
625
all stages have ended
""",
    "sieve": "2 3 5 7 11 13 17 19 23 29 31 37 41 43 47 53 59 61 67 71 73 79 83 89 97 ".replace(" ", "\n"),
    "timeout": """\
within 20 ms: oslo, after 10 ms
within 5 ms: context deadline exceeded, after 5 ms
""",
    "tracker": """\
late: the tracker is shut down
accepted and stored: the same
no room: context deadline exceeded
no end: context deadline exceeded
in the end: shut down, 2 stored
""",
    "walk": """\
15 files
./field/3
no file has the word thread
walk cellar: no such file or directory
context canceled
""",
}


class Patterns(unittest.TestCase):
    def test_every_pattern_is_run(self):
        names = [path.stem for path in sorted((SOURCE / "examples" / "patterns").glob("*.cc"))]
        self.assertEqual(names, sorted(EXPECTED))

    def run_all(self, prefix):
        for name, output in EXPECTED.items():
            for procs in ("1", "2", "4"):
                with self.subTest(program=prefix + name, procs=procs):
                    done = subprocess.run([BIN / (prefix + name)], env=dict(os.environ, WEFT_PROCS=procs),
                                          capture_output=True, text=True, timeout=PATIENCE)
                    self.assertEqual((done.returncode, done.stdout), (0, output), done.stderr)

    def test_output(self):
        self.run_all("example_pattern_")

    def test_nothing_is_left(self):
        self.run_all("checked_pattern_")


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
