#!/usr/bin/env python3
"""cmake/check-layers.py passes on this tree, and names both files of an include that runs the wrong way."""

import os
import shutil
import subprocess
import sys
import tempfile
import unittest

SOURCE = os.environ["WEFT_SOURCE_DIR"]
SCRIPT = os.path.join(SOURCE, "cmake", "check-layers.py")
MODULES = ("runtime", "net", "http", "app")


def check(root):
    return subprocess.run([sys.executable, SCRIPT, "--root", root], capture_output=True, text=True, check=False)


class Layers(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name
        for module in MODULES:
            for part in ("include", "src"):
                shutil.copytree(os.path.join(SOURCE, module, part), os.path.join(self.root, module, part))

    def plant(self, path, line):
        """Adds `line` to the file and returns the number that it has there."""
        with open(os.path.join(self.root, path), "a+", encoding="utf-8") as file:
            file.seek(0)
            number = len(file.readlines()) + 1
            file.write(line + "\n")
        return number

    def expect_refused(self, path, target, reason):
        line = self.plant(path, f'#include "{target}"')
        result = check(self.root)
        self.assertEqual(result.returncode, 1)
        found = [text for text in result.stderr.splitlines() if text.startswith(f"{path}:{line}: ")]
        self.assertEqual(len(found), 1, result.stderr)
        self.assertIn(reason, found[0])
        return found[0]

    def test_this_tree_passes(self):
        result = check(SOURCE)
        self.assertEqual((result.returncode, result.stderr), (0, ""))

    def test_an_include_that_runs_up_names_both_files_and_floors(self):
        text = self.expect_refused("runtime/src/sched/park.cc", "runtime/src/control/sysmon.h", "runs up")
        self.assertIn("runtime/src/control/sysmon.h", text)
        self.assertIn("sched is on floor 2, control on floor 6", text)

    def test_other_ways_to_write_an_include_do_not_hide_it(self):
        for path, line, reason in (
                ("runtime/src/sched/park.cc", "#include <runtime/src/control/sysmon.h>", "runs up"),
                ("runtime/src/sched/park.cc", '#include "../control/sysmon.h"', "runs up"),
                ("runtime/src/sched/park.cc", '#include "weft/../../src/control/sysmon.h"', "runs up"),
                ("runtime/src/sched/park.cc", '/* */ #  include "weft/context.h"  // why?', "runs up"),
                ("net/src/dial.cc", '#include "runtime/src/io/../sched/park.h"', "a private header of runtime"),
                ("http/src/mux/mux.cc", '#include "../server/protocol.h"', "runs up"),
                ("http/src/mux/mux.cc", '#include "no/such/file.h"', "no file of this tree")):
            number = self.plant(path, line)
            found = [text for text in check(self.root).stderr.splitlines() if text.startswith(f"{path}:{number}: ")]
            self.assertEqual(len(found), 1, line)
            self.assertIn(reason, found[0])

    def test_public_headers_have_floors_too(self):
        self.expect_refused("runtime/src/sync/block.cc", "weft/context.h", "runs up")
        self.expect_refused("runtime/include/weft/chan.h", "weft/errgroup.h", "runs up")

    def test_modules_include_downwards_only(self):
        self.expect_refused("net/src/dial.cc", "weft/http/server.h", "http, which stands above it")

    def test_private_headers_belong_to_their_module(self):
        self.expect_refused("http/src/mux/mux.cc", "runtime/src/base/clock.h", "a private header of runtime")
        self.expect_refused("net/src/dial.cc", "runtime/src/sched/machine.h", "a private header of runtime")

    def test_a_public_header_includes_no_private_one(self):
        self.expect_refused("runtime/include/weft/go.h", "runtime/src/sched/park.h", "a public header")

    def test_rooms_of_one_floor_include_each_other_in_no_circle(self):
        self.plant("runtime/src/sync/chan.cc", '#include "runtime/src/time/chan_timer.h"')
        self.plant("runtime/src/time/sleep.cc", '#include "runtime/src/sync/block.h"')
        result = check(self.root)
        self.assertEqual(result.returncode, 1)
        self.assertIn("include each other in a circle", result.stderr)
        self.assertIn("runtime/src/sync/chan.cc", result.stderr)

    def test_a_file_without_a_room_is_refused(self):
        os.mkdir(os.path.join(self.root, "runtime/src/attic"))
        self.plant("runtime/src/attic/old.cc", "// Nothing.")
        result = check(self.root)
        self.assertEqual(result.returncode, 1)
        self.assertIn("runtime/src/attic/old.cc: no room of runtime's floors", result.stderr)


if __name__ == "__main__":
    unittest.main()
