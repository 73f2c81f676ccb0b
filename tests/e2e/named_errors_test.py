#!/usr/bin/env python3
"""A public header brings the errors and exceptions that its contract names, so that who includes it can compare and
catch them."""

import os
import re
import unittest

SOURCE = os.environ["WEFT_SOURCE_DIR"]
MODULES = ("runtime", "net", "http", "app")


def path_of(header):
    """Where the public header is, or None for a header that isn't weft's."""
    paths = (os.path.join(SOURCE, module, "include", header) for module in MODULES)
    return next((path for path in paths if os.path.exists(path)), None)


def text_of(header):
    with open(path_of(header), encoding="utf-8") as file:
        return file.read()


def closure(header, seen):
    """`header` and the public headers that it includes, directly or through others."""
    seen.add(header)
    for name in re.findall(r"^#include <(weft/[^>]+)>", text_of(header), re.MULTILINE):
        if name not in seen and path_of(name):
            closure(name, seen)
    return seen


def public_headers():
    for module in MODULES:
        root = os.path.join(SOURCE, module, "include")
        for folder, _, names in os.walk(root):
            for name in names:
                header = os.path.relpath(os.path.join(folder, name), root)
                if "/detail/" not in header:
                    yield module, header


class NamedErrors(unittest.TestCase):
    def test_each_is_declared(self):
        for module, header in public_headers():
            text = text_of(header)
            errc = "weft/http/errc.h" if module == "http" else "weft/error.h"
            for pattern, declared_in in ((r"\bErrc::\w", errc), (r"\bPanic\b", "weft/panic.h"),
                                         (r"\bCondition::\w", "weft/error.h")):
                if re.search(pattern, text):
                    self.assertIn(declared_in, closure(header, set()), f"{header} names {pattern}")


if __name__ == "__main__":
    unittest.main()
