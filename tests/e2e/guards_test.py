#!/usr/bin/env python3
"""Stacks on a kernel without MADV_GUARD_INSTALL (before 6.13): mprotect makes the guards, until no mapping is left."""

import os
import re
import subprocess
import sys
import unittest

DENY = (os.environ["WEFT_DENY"], "guard_install")
PROGRAM = os.environ["WEFT_MANY_STACKS"]
PATIENCE = 300.0
# The most that a goroutine may cost: pages of its stack and of page tables, two mappings, and some room.
BYTES_PER_GOROUTINE = 12 * 1024


def sanitizer():
    with open(os.path.join(os.environ["WEFT_BUILD_DIR"], "CMakeCache.txt"), encoding="utf-8") as cache:
        return next((line.strip().split("=", 1)[1] for line in cache if line.startswith("WEFT_SANITIZE:")), "")


def run(*arguments, wrapper=DENY):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_")}
    return subprocess.run([*wrapper, PROGRAM, *arguments], env=environment, stdin=subprocess.DEVNULL,
                          capture_output=True, text=True, errors="replace", timeout=PATIENCE, check=False)


def most_mappings():
    with open("/proc/sys/vm/max_map_count", encoding="ascii") as file:
        return int(file.read())


def available_bytes():
    with open("/proc/meminfo", encoding="ascii") as file:
        free = next(int(line.split()[1]) * 1024 for line in file if line.startswith("MemAvailable:"))
    try:
        with open("/sys/fs/cgroup/memory.max") as limit, open("/sys/fs/cgroup/memory.current") as used:
            return min(free, int(limit.read()) - int(used.read()))
    except (OSError, ValueError):  # no such group, or "max"
        return free


class Guards(unittest.TestCase):
    def check_end(self, done):
        self.assertEqual(done.returncode, 2, done.stderr)
        told = [line for line in done.stderr.splitlines() if "vm.max_map_count" in line]
        self.assertEqual(len(told), 1, done.stderr)
        self.assertTrue(told[0].startswith("fatal error: no room for another guarded stack: raise vm.max_map_count"),
                        told)
        self.assertNotIn("incomplete", done.stderr)
        self.assertNotIn("SIGSEGV", done.stderr)

    def test_each_stack_has_a_guard_by_mprotect(self):
        done = run("park", "2000")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertGreaterEqual(int(re.fullmatch(r"2000 goroutines, (\d+) mappings\n", done.stdout)[1]), 2000)

    def test_an_overflow_meets_the_guard(self):
        done = run("overflow")
        if sanitizer():  # the sanitizers print the report
            self.assertNotEqual(done.returncode, 0)
            self.assertIn("Sanitizer: stack-overflow", done.stderr)
            return
        self.assertEqual(done.returncode, 2, done.stderr)
        self.assertIn("runtime: goroutine stack exceeds 262144-byte limit\nfatal error: stack overflow\n", done.stderr)
        self.assertIn("recurses(", done.stderr)

    @unittest.skipIf(sanitizer(), "sanitizers know too few fibers, or end the process themselves when a mapping fails")
    def test_more_stacks_than_mappings(self):
        limit = most_mappings()
        goroutines = limit // 2 + 1000
        if goroutines * BYTES_PER_GOROUTINE > available_bytes():
            self.skipTest(f"vm.max_map_count is {limit}, and there is no memory for {goroutines} goroutines")
        done = run("park", str(goroutines))
        self.check_end(done)
        self.assertIn("\ngoroutine 1 [running]:\n", done.stderr)
        self.assertIn("park(", done.stderr)
        self.assertEqual(done.stdout, "")

    @unittest.skipIf(sanitizer(), "sanitizers end the process themselves when a mapping fails")
    def test_no_mapping_for_another_slab_of_stacks(self):
        limit = most_mappings()
        if limit * 1024 > available_bytes():
            self.skipTest(f"vm.max_map_count is {limit}, and there is no memory for so many mappings")
        self.check_end(run("fill"))


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1], verbosity=2)
