#!/usr/bin/env python3
"""Runs the gdb script on a program whose goroutines wait in known places, live and in a core file."""
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import unittest

SCRIPT = pathlib.Path(os.environ["WEFT_SOURCE_DIR"]) / "runtime/gdb/weft-gdb.py"
PROGRAM = os.environ["WEFT_GDB_PARKED"]
CUSTOMER = "4711"

# The wait reason and the function of each goroutine that waits.
WAITING = {
    "chan receive": "receive_an_order",
    "sleep": "sleep_long",
    "sync.Mutex.Lock": "lock_the_ledger",
    "IO wait": "accept_a_guest",
}


def sanitized():
    with open(os.path.join(os.environ["WEFT_BUILD_DIR"], "CMakeCache.txt"), encoding="utf-8") as cache:
        return any(re.match(r"WEFT_SANITIZE:\w+=\w", line) for line in cache)


# Cores of sanitized programs hold the shadow memory: terabytes, which gdb reads byte by byte.
with_cores = unittest.skipIf(sanitized(), "gdb can't write the core of a sanitized program in any useful time")

LIVE = [PROGRAM, "-ex", f"set args {CUSTOMER}", "-ex", "break everyone_is_parked", "-ex", "run"]


def gdb(*arguments, program=()):
    """Returns the output and errors of a gdb that runs the script and then the commands."""
    commands = [part for command in arguments for part in ("-ex", command)]
    done = subprocess.run(["gdb", "-nx", "-batch", "-ex", f"source {SCRIPT}", *program, *commands],
                          stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", timeout=240, check=False)
    return done.stdout


def skip(text):
    print(f"skipped: {text}")
    sys.exit(77)


class Gdb(unittest.TestCase):
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        cls.directory = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.directory.cleanup)
        cls.core = os.path.join(cls.directory.name, "core")
        gcore = [] if sanitized() else [f"weft gcore {cls.core}"]
        cls.live = gdb("echo >>goroutines\\n", "weft goroutines", "echo >>all\\n", "weft bt all", "echo >>plain\\n",
                       "backtrace 1", "echo >>gcore\\n", *gcore, program=LIVE)

    def section(self, name):
        self.assertIn(f">>{name}\n", self.live)
        return self.live.split(f">>{name}\n")[1].split(">>")[0]

    def on_core(self, *commands):
        self.assertTrue(os.path.exists(self.core), self.live)
        return gdb(*commands, program=[PROGRAM, self.core])

    def rows(self, table):
        """Returns {function: (id, line)} for the table that `weft goroutines` prints."""
        rows = {}
        for line in table.splitlines():
            match = re.match(r"(\d+) +(\d+) +\w+.*?(\w+) at \S+gdb_parked\.cc:\d+", line)
            if match:
                rows[match.group(3)] = (match.group(1), line)
        return rows

    def check_table(self, table, live):
        rows = self.rows(table)
        for reason, function in WAITING.items():
            self.assertIn(function, rows, table)
            since = r" +\d+(\.\d)? (ms|s|min) " if live else " "
            self.assertRegex(rows[function][1], r", created at \S*gdb_parked\.cc:\d+$")
            self.assertRegex(rows[function][1], rf"^\d+ +1 +waiting +{re.escape(reason)}{since}")
        self.assertRegex(rows["everyone_is_parked"][1], r"^1 +0 +running \(thread \d+\) ")
        self.assertRegex(rows["yield_for_ever"][1], r"^\d+ +1 +run(nable|ning) ")
        # The last goroutine may not have run yet.
        self.assertRegex(table, r"\n\d+ +1 +runnable +not started: .*main::.*\n|(yield_for_ever.*\n[^$]*){2}")

    def check_backtraces(self, text):
        stacks = [part for part in re.split(r"(?m)^(?=goroutine \d+ \[)", text) if part.startswith("goroutine ")]
        self.assertEqual(len(stacks), 7, text)
        for reason, function in WAITING.items():
            stack = next((s for s in stacks if f" [{reason}" in s), None)
            self.assertIsNotNone(stack, text)
            # The stack goes through the function to the very start. The frames above the function depend on the
            # optimisation.
            self.assertRegex(stack, rf"(?s)#0 .* in .*\n#\d+ .*\b{function}\b.*\n#\d+ .*goroutine_main.*"
                                    r"\n#\d+ .*weft_start_context[^\n]*\n"
                                    r"created by .+ at \S*gdb_parked\.cc:\d+ in goroutine 1\n")
        self.assertRegex(stacks[0], r"(?s)^goroutine 1 \[running, on thread \d+\]:\n#0 .*everyone_is_parked"
                                    r".*weft_start_context.*created outside goroutines\n")

    def test_live_process(self):
        self.check_table(self.section("goroutines"), live=True)
        self.check_backtraces(self.section("all"))

    @with_cores
    def test_core_file(self):
        self.check_table(self.on_core("weft goroutines"), live=False)
        self.check_backtraces(self.on_core("weft bt all"))

    @with_cores
    def test_one_backtrace(self):
        number = self.rows(self.section("goroutines"))["lock_the_ledger"][0]
        text = self.on_core(f"weft bt {number}")
        self.assertEqual(len(re.findall(r"(?m)^goroutine ", text)), 1, text)
        self.assertIn(f"goroutine {number} [sync.Mutex.Lock", text)
        self.assertIn("lock_the_ledger", text)
        self.assertNotIn("sleep_long", text)

    @with_cores
    def test_apply_sees_arguments_of_a_parked_function(self):
        number = self.rows(self.section("goroutines"))["receive_an_order"][0]
        self.assertIn(f"$1 = {CUSTOMER}\n", self.on_core(f"weft apply {number} print customer"))

    def test_thread_is_as_before(self):
        self.assertRegex(self.section("plain"), r"^#0 +(0x\w+ in )?everyone_is_parked ")

    @with_cores
    def test_thread_of_a_core_is_as_before(self):
        text = self.on_core("weft bt all", "echo >>plain\\n", "backtrace 1")
        self.assertRegex(text.split(">>plain\n")[1], r"^#0 +(0x\w+ in )?everyone_is_parked ")

    def test_errors(self):
        self.assertIn("weft: no process and no core: start the program", gdb("weft goroutines", program=[PROGRAM]))
        self.assertIn("weft: no process and no core: start the program", gdb("weft bt 1"))
        text = gdb("weft bt 77", "weft bt x", program=LIVE)
        self.assertIn("weft: there is no goroutine 77; `weft goroutines` lists those that live\n", text)
        for command, usage in (("weft bt", "weft bt ID | all"), ("weft goroutines 1", "weft goroutines"),
                               ("weft apply 1", "weft apply ID COMMAND"), ("weft gcore", "weft gcore FILE")):
            self.assertIn(f"weft: usage: {usage}\n", gdb(command))
        self.assertIn("no goroutines\n", gdb("break main", "run", "weft goroutines", program=[PROGRAM]))
        other = shutil.which("true")
        self.assertIn("weft: this program has no weft runtime, or it is stripped",
                      gdb("starti", "weft goroutines", program=[other]))

    def test_stripped_program(self):
        stripped = os.path.join(self.directory.name, "stripped")
        subprocess.run(["strip", "-o", stripped, PROGRAM], check=True)
        self.assertIn("weft: this program has no weft runtime, or it is stripped", gdb("starti", "weft goroutines",
                                                                                     program=[stripped]))

    @with_cores
    def test_core_without_the_mapping_of_stacks(self):
        core = os.path.join(self.directory.name, "holed-core")
        shutil.copyfile(self.core, core)
        with open(core, "r+b") as file:
            header = file.read(64)
            offset, = struct.unpack_from("<Q", header, 32)
            entry_size, count = struct.unpack_from("<HH", header, 54)
            for i in range(count):
                file.seek(offset + i * entry_size)
                entry = file.read(entry_size)
                kind, _, _, _, _, size = struct.unpack_from("<IIQQQQ", entry)
                if kind == 1 and size > 12 << 20:  # a slab is the largest mapping that there is
                    file.seek(offset + i * entry_size)
                    file.write(struct.pack("<I", 0))  # the entry is ignored
        self.assertIn("weft: the goroutines' memory can't be read (", gdb("weft goroutines", program=[PROGRAM, core]))

    @with_cores
    def test_core_that_may_not_hold_stacks(self):
        core = os.path.join(self.directory.name, "filtered-core")
        text = gdb("python open(f'/proc/{gdb.selected_inferior().pid}/coredump_filter', 'w').write('0')",
                   f"weft gcore {core}", program=LIVE)
        self.assertRegex(text, "weft: the core has no room for the stack at 0x[0-9a-f]+: gdb left its mapping out\n")

    @with_cores
    def test_core_without_stacks(self):
        """Where gdb's own gcore loses the stacks, the script says so instead of showing nothing."""
        core = os.path.join(self.directory.name, "plain-core")
        gdb(f"generate-core-file {core}", program=LIVE)
        text = gdb("weft goroutines", program=[PROGRAM, core])
        if "receive_an_order" not in text:
            self.assertIn("weft: the stacks are not in this core", text)


def main():
    if shutil.which("gdb") is None:
        skip("gdb is not installed; cmake/install-deps.sh test installs it")
    if "python-works" not in gdb("python print('python' + '-works')"):
        skip("this gdb was built without Python")
    started = gdb("starti", "info registers pc", program=[shutil.which("true")])
    if "_start" not in started and not re.search(r"(?m)^pc +0x", started):
        skip(f"gdb can't trace a process here: {started.strip()}")
    unittest.main(argv=sys.argv[:1], verbosity=2)


if __name__ == "__main__":
    main()
