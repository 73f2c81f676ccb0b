#!/usr/bin/env python3
"""In weft's libraries only runtime/src/base/errno.cc looks up the address of errno.

Compilers look it up once in a function, with all that is inlined there, and a goroutine that parks in between goes on
with another thread's errno. So this test looks at what the compiled files need of the C library: it also sees what the
headers of the standard library bring along (std::stoul, std::this_thread::sleep_for).
"""

import os
import re
import subprocess
import unittest

BUILD = os.environ["WEFT_BUILD_DIR"]
MODULES = ("runtime", "net", "http", "app")

# "libweft_net.a:tcp.cc.o:                 U __errno_location"
USER = re.compile(r":([^:]+):\s+U __errno_location$", re.MULTILINE)


class Errno(unittest.TestCase):
    def test_only_its_accessors_look_it_up(self):
        users = set()
        for module in MODULES:
            archive = os.path.join(BUILD, module, f"libweft_{module}.a")
            symbols = subprocess.run(["nm", "--print-file-name", "--undefined-only", archive], stdout=subprocess.PIPE,
                                     text=True, check=True).stdout
            users |= {f"{module}: {name}" for name in USER.findall(symbols)}
        self.assertEqual(users, {"runtime: errno.cc.o"},
                         "use rt::last_errno() of runtime/src/base/errno.h, and std::from_chars for numbers")


if __name__ == "__main__":
    unittest.main()
