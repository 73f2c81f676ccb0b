#!/usr/bin/env python3
"""Each umbrella header includes every public header of its module, but those named here, which have a reason."""

import os
import re
import unittest

SOURCE = os.environ["WEFT_SOURCE_DIR"]

# Test support, the debug pages, and bridges to other libraries are asked for by name.
LEFT_OUT = {
    "runtime": {"weft/weft.h"},
    "net": {"weft/net.h", "weft/net/asio.h"},
    "http": {"weft/http.h", "weft/http/debug.h", "weft/http/testing.h"},
    "app": {"weft/app.h"},
}


def included(module, header, seen):
    """The public headers of the module that `header` includes, directly or through others."""
    with open(os.path.join(SOURCE, module, "include", header), encoding="utf-8") as file:
        for name in re.findall(r"^#include <(weft/[^>]+)>", file.read(), re.MULTILINE):
            if name not in seen and os.path.exists(os.path.join(SOURCE, module, "include", name)):
                seen.add(name)
                included(module, name, seen)
    return seen


class Umbrellas(unittest.TestCase):
    def test_each_has_every_public_header(self):
        for module, left_out in LEFT_OUT.items():
            root = os.path.join(SOURCE, module, "include")
            headers = {os.path.relpath(os.path.join(folder, name), root)
                       for folder, _, names in os.walk(root) for name in names}
            public = {name for name in headers if "/detail/" not in name and "/testing/" not in name} - left_out
            umbrella = "weft/weft.h" if module == "runtime" else f"weft/{module}.h"
            self.assertEqual(public - included(module, umbrella, set()), set(), umbrella)


if __name__ == "__main__":
    unittest.main()
