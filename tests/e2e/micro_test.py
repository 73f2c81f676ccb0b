#!/usr/bin/env python3
"""The micro-benchmarks run and do what they say, and a program that does not is detected. Nothing here is timed.

The program micro_bench is not part of the default build, so this test builds it.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["WEFT_SOURCE_DIR"]
BUILD = os.environ["WEFT_BUILD_DIR"]
RUN = os.path.join(SOURCE, "loadtest", "micro", "run")
PROGRAM = os.path.join(BUILD, "bin", "micro_bench")


def run(*arguments, path=None):
    environment = dict(os.environ, **({"PATH": path} if path is not None else {}))
    return subprocess.run([sys.executable, RUN, *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, timeout=240, check=False)


class Micro(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        done = subprocess.run(["cmake", "--build", BUILD, "--target", "micro_bench"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise AssertionError("micro_bench does not build:\n" + done.stdout + done.stderr)

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.json = os.path.join(self.folder, "micro.json")

    def pretender(self, body):
        """Makes a program that takes the place of micro_bench."""
        path = os.path.join(self.folder, "pretender")
        with open(path, "w") as f:
            f.write("#!/bin/sh\n" + body)
        os.chmod(path, 0o755)
        return path

    def check_all_benchmarks(self, done, programs, widths):
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        names = [line.split(":")[0] for line in run("--list").stdout.splitlines()]
        self.assertIn("ping_pong", names)
        with open(self.json) as f:
            document = json.load(f)
        self.assertEqual(document["failures"], [])
        # A kernel or a seccomp profile may forbid io_uring.
        refused = "hog_echo_io_uring: weft: "
        self.assertEqual([text for text in document["left_out"] if not text.startswith(refused)], [])
        if document["left_out"]:
            names.remove("hog_echo_io_uring")
        for name in names:
            expected = widths
            if name == "wake":
                expected = {n for n in widths if n > 1}
            elif name == "blocking_tick":
                expected = {1}
            elif name.startswith("parked"):
                expected = {min(widths)}
            # Go has no Sharded.
            runs = ["weft"] if name == "sharded_shared" else programs
            found = {(s["program"], s["procs"]) for s in document["samples"] if s["bench"] == name}
            self.assertEqual(found, {(program, n) for program in runs for n in expected}, name)
        for row in ("| spawn_join, ns | 2 |", "| skynet, ms | 2 |", "| wake p99, µs | 2 |", "| parked_1m, KiB |",
                    "| parked_1m mappings, each |", "| hog_echo_epoll p99, ms | 1 |", "| hog_echo_epoll p99, ms | 2 |",
                    "| blocking_tick worst, ms | 1 |", "| select_ready, ns | 2 |", "| sharded_shared, ns | 2 |",
                    "| tickers_20k_spread, ms/s | 2 |"):
            self.assertIn(row, done.stdout)

    def test_weft_alone(self):
        done = run("--quick", "--weft-only", "--weft", PROGRAM, "--procs", "1,2", "--json", self.json)
        self.check_all_benchmarks(done, ["weft"], {1, 2})

    @unittest.skipIf(shutil.which("go") is None, "Go is not installed")
    def test_twins_do_the_same(self):
        done = run("--quick", "--weft", PROGRAM, "--procs", "1,2", "--json", self.json)
        self.check_all_benchmarks(done, ["go", "weft"], {1, 2})

    def test_without_go(self):
        nothing = os.path.join(self.folder, "nothing")
        os.mkdir(nothing)
        done = run("--quick", "--weft", PROGRAM, "--only", "mutex_free", "--procs", "1", "--json", self.json,
                   path=nothing)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("Go is not installed: its column stays empty", done.stderr)
        self.assertRegex(done.stdout, r"\| mutex_free, ns \| 1 \| – \| [0-9.]+ \| – \|")

    def test_what_cannot_run_is_left_out(self):
        done = run("--quick", "--weft-only", "--weft", PROGRAM, "--only", "wake", "--procs", "1", "--json", self.json)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("- left out: wake: needs procs 2 or more", done.stdout)
        done = run("--quick", "--weft-only", "--weft", PROGRAM, "--only", "blocking_tick", "--procs", "2,4", "--json",
                   self.json)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("- left out: blocking_tick: needs procs 1 or fewer", done.stdout)

    def test_a_refused_poller_is_left_out_and_another_failure_is_not(self):
        sample = '{"procs": 1, "ops": 120, "checksum": 120, "wall_ns": 1, "cpu_ns": 1, "metrics": ' \
                 '{"p99": 2e7, "trip_p99": 1e6}}'
        refusal = 'if [ "$WEFT_POLLER" = io_uring ]; then echo "weft: no ring" >&2; exit 1; fi\n'
        crash = 'if [ "$WEFT_POLLER" = io_uring ]; then echo "fatal error: ring" >&2; exit 2; fi\n'
        arguments = ("--quick", "--weft-only", "--only", "hog_echo_io_uring,hog_echo_epoll", "--procs", "1", "--json",
                     self.json)
        done = run(*arguments, "--weft", self.pretender(refusal + f"echo '{sample}'"))
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn("- left out: hog_echo_io_uring: weft: no ring", done.stdout)
        self.assertIn("| hog_echo_epoll p99, ms | 1 | – | 20.0 |", done.stdout)
        done = run(*arguments, "--weft", self.pretender(crash + f"echo '{sample}'"))
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("- FAILED: hog_echo_io_uring, procs 1: weft: ended with status 2: fatal error: ring", done.stdout)

    def test_promises_are_judged(self):
        for delay, verdict in (("2e7", "yes"), ("2.1e7", "**no**")):
            sample = '{"procs": 1, "ops": 12000, "checksum": 12000, "wall_ns": 1, "cpu_ns": 1, "metrics": ' \
                     '{"p99": %s, "trip_p99": 1e6}}' % delay
            done = run("--rounds", "1", "--weft-only", "--only", "hog_echo_epoll", "--procs", "1", "--json", self.json,
                       "--weft", self.pretender(f"echo '{sample}'"))
            self.assertEqual(done.returncode, 0, done.stderr)
            self.assertRegex(done.stdout, r"\| hog_echo_epoll p99, ms \| 1 \| .* \| ≤ 20 ms \| " + re.escape(verdict))

    def check_pretender(self, body, complaint):
        done = run("--quick", "--weft-only", "--weft", self.pretender(body), "--only", "mutex_free", "--procs", "1",
                   "--json", self.json)
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn(f"- FAILED: mutex_free, procs 1: weft: {complaint}", done.stdout)
        with open(self.json) as f:
            self.assertEqual(len(json.load(f)["failures"]), 1)

    def test_other_work_than_asked(self):
        sample = '{"procs": 1, "ops": 2000, "checksum": 1999, "wall_ns": 1, "cpu_ns": 1, "metrics": {}}'
        self.check_pretender(f"echo '{sample}'", "its checksum is 1999, not 2000")

    def test_a_crash(self):
        self.check_pretender("echo 'out of paint' >&2; exit 3", "ended with status 3: out of paint")

    def test_no_sample(self):
        self.check_pretender("echo hello", "printed no sample but 'hello'")

    def test_wrong_usage(self):
        for arguments, complaint in (
            (["--only", "ping"], 'there is no benchmark "ping"'),
            (["--procs", "two"], "--procs two: must be numbers"),
            (["--procs", "0"], "each must be 1 to 256"),
            (["--rounds", "0"], "--rounds 0: must be 1 to 100"),
            (["--weft-only", "--weft", "/nowhere"], "--weft /nowhere: there is no such program"),
        ):
            done = run(*arguments)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn(complaint, done.stderr)

    def test_usage_of_the_program(self):
        for arguments in ([], ["ping"], ["nothing", "1"], ["ping_pong", "0"], ["ping_pong", "1x"]):
            done = subprocess.run([PROGRAM, *arguments], capture_output=True, text=True, timeout=60, check=False)
            self.assertEqual(done.returncode, 2, arguments)
            self.assertIn("usage: [WEFT_PROCS=N] micro_bench NAME OPS", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
