#!/usr/bin/env python3
"""Checks which files may include which: `./dev check` runs it, and docs/architecture.md draws what it enforces.

  * Modules: app includes http, net and runtime; http includes net and runtime; net includes runtime. No include goes
    the other way.
  * A private header (<module>/src/...) is included by its own module alone, or through a seam of SEAMS.
  * A public header includes public headers only.
  * Rooms (<module>/src/<room>) stand on floors. A file includes headers of its own floor and of lower floors, and rooms
    never include each other in a circle. A public header belongs to a room, too.

Prints each line that breaks a rule, with both files, and exits with status 1. `--graph` prints the rooms instead.
"""

import argparse
import os
import re
import sys

# The lowest module comes first.
MODULES = ["runtime", "net", "http", "app"]

FLOORS = {
    "runtime": [
        ["base"],
        ["arch", "stack"],
        ["sched"],
        ["sync", "time"],
        ["context", "io"],
        ["symbols", "crash", "profile"],
        ["control", "group"],
    ],
    "http": [
        ["message"],
        ["parser", "mux", "middleware", "testing"],
        ["server"],
        ["http1"],
        ["negotiate", "debug"],
    ],
}

# What a higher module may use of a lower one's private headers: path prefixes.
SEAMS = {
    "net": ["runtime/src/base/", "runtime/src/io/", "runtime/src/context/hook.h",
            "runtime/src/sched/scheduling_point.h"],
    "app": ["runtime/src/base/errno.h"],
    "http": ["runtime/src/base/fatal.h", "runtime/src/crash/throw_watch.h"],
}

# The room of each public header of a module with floors, by its name without "weft/" and ".h".
PUBLIC_ROOMS = {
    "base": "error labels lock_guard log panic source_location thread_annotations detail/chrono detail/spin_mutex",
    "sched": "go time_point detail/waiter",
    "sync": "atomic_value chan concurrent_map cond mutex once pool rw_mutex select semaphore sharded single_flight "
            "sync wait_group detail/chan_core detail/mutex_core detail/pool_core detail/rw_mutex_core "
            "detail/select_core detail/wait_queue",
    "time": "time testing/bubble",
    "context": "context",
    "io": "io/pollable",
    "control": "debug goroutine_local stats weft",
    "group": "errgroup task_group detail/task_call",

    "message": "http/errc http/header http/helpers http/hijacked http/request http/response_writer http/sniff "
               "http/status http/version http/detail/request_head http/detail/request_host http/detail/text_arena",
    "mux": "http/mux",
    "middleware": "http/middleware",
    "testing": "http/testing",
    "server": "http/server",
    "debug": "http http/debug",
}

INCLUDE = re.compile(r'^(?:\s|/\*.*?\*/)*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)')

SOURCES = (".h", ".cc", ".inc", ".ipp", ".hpp", ".cpp", ".S")


class Tree:
    def __init__(self, root):
        self.root = root
        self.rooms = {}  # the rooms of public headers
        for room, names in PUBLIC_ROOMS.items():
            for name in names.split():
                self.rooms[f"weft/{name}.h"] = room
        self.files = []
        for module in MODULES:
            for part in ("include", "src"):
                for folder, _, names in sorted(os.walk(os.path.join(root, module, part))):
                    for name in sorted(names):
                        if not name.endswith(SOURCES):
                            continue
                        path = os.path.relpath(os.path.join(folder, name), root)
                        self.files.append(path)

    def resolve(self, path, text):
        """The file of this tree that `path` includes as `text`, however the text is written; None for any other."""
        places = [os.path.dirname(path), ""] + [f"{module}/include" for module in MODULES]
        for place in places:
            candidate = os.path.normpath(os.path.join(place, text))
            if not candidate.startswith("..") and os.path.isfile(os.path.join(self.root, candidate)):
                return candidate
        return None

    def includes(self, path):
        """(line, file of this tree or None, text, whether it stands in quotes) of each include."""
        with open(os.path.join(self.root, path), encoding="utf-8") as file:
            for number, line in enumerate(file, 1):
                match = INCLUDE.match(line)
                if match:
                    text = match.group(1) or match.group(2)
                    yield number, self.resolve(path, text), text, match.group(1) is not None

    def room(self, path):
        """The room of a file, None when the module has no floors or the file has no room."""
        module = path.split("/")[0]
        if module not in FLOORS:
            return None
        if path.startswith(f"{module}/include/"):
            return self.rooms.get(path[len(f"{module}/include/"):])
        parts = path.split("/")
        return parts[2] if len(parts) > 3 else None


def is_public(path):
    return path.split("/")[1] == "include"


def floor_of(module, room):
    for number, rooms in enumerate(FLOORS[module]):
        if room in rooms:
            return number
    return None


def check_modules(path, target):
    module, other = path.split("/")[0], target.split("/")[0]
    if other not in MODULES:
        return f"{target} belongs to no module"
    if MODULES.index(other) > MODULES.index(module):
        return f"{module} may not include {other}, which stands above it"
    if is_public(path) and not is_public(target):
        return "a public header may not include a private one"
    if other != module and not is_public(target):
        if not any(target.startswith(seam) for seam in SEAMS.get(module, [])):
            return f"a private header of {other} is not {module}'s to include"
    return None


def find_circle(edges):
    """Rooms that include each other in a circle, as a list that begins and ends with the same room; or None."""
    state, trail = {}, []

    def visit(room):
        state[room] = "open"
        trail.append(room)
        for other in sorted(edges.get(room, ())):
            if state.get(other) == "open":
                return trail[trail.index(other):] + [other]
            if other not in state:
                circle = visit(other)
                if circle:
                    return circle
        trail.pop()
        state[room] = "done"
        return None

    for room in sorted(edges):
        if room not in state:
            circle = visit(room)
            if circle:
                return circle
    return None


def check(tree):
    problems = []
    edges = {module: {} for module in FLOORS}  # room -> room -> the first place that includes it
    for path in tree.files:
        module = path.split("/")[0]
        room = tree.room(path)
        if module in FLOORS and (room is None or floor_of(module, room) is None):
            where = "PUBLIC_ROOMS" if is_public(path) else "FLOORS"
            problems.append(f"{path}: no room of {module}'s floors: name one in {where} of cmake/check-layers.py")
            continue
        for line, target, text, quoted in tree.includes(path):
            if target is None:
                if quoted:
                    problems.append(f"{path}:{line}: includes \"{text}\", which is no file of this tree: "
                                    "headers of others stand in <>")
                continue
            reason = check_modules(path, target)
            if reason:
                problems.append(f"{path}:{line}: includes {target}: {reason}")
                continue
            other = tree.room(target)
            if target.split("/")[0] != module or other is None or other == room or floor_of(module, other) is None:
                continue
            here, there = floor_of(module, room), floor_of(module, other)
            if there > here:
                problems.append(f"{path}:{line}: includes {target}, which runs up: room {room} is on floor {here}, "
                                f"{other} on floor {there}")
            else:
                edges[module].setdefault(room, {}).setdefault(other, f"{path}:{line} includes {target}")
    for module in FLOORS:
        circle = find_circle(edges[module])
        if circle:
            places = "; ".join(edges[module][a][b] for a, b in zip(circle, circle[1:]))
            problems.append(f"{module}: the rooms {' -> '.join(circle)} include each other in a circle: {places}")
    return problems, edges


def print_graph(edges):
    for module, rooms in FLOORS.items():
        print(module)
        for number in reversed(range(len(rooms))):
            for room in rooms[number]:
                if room in edges[module] or any(room in others for others in edges[module].values()):
                    print(f"  {number}  {room:8} -> {' '.join(sorted(edges[module].get(room, ())))}".rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.path.dirname(os.path.dirname(os.path.abspath(__file__))),
                        help="the tree to check (default: the one that this script is in)")
    parser.add_argument("--graph", action="store_true", help="print which room includes which")
    arguments = parser.parse_args()
    problems, edges = check(Tree(arguments.root))
    if arguments.graph:
        print_graph(edges)
    for problem in problems:
        print(problem, file=sys.stderr)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
