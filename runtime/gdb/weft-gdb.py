"""Goroutines of a weft program in gdb, in a live process or a core file.

    (gdb) source /usr/local/share/weft/gdb/weft-gdb.py
    (gdb) weft goroutines            every goroutine, and the function it is in
    (gdb) weft bt 7                  the backtrace of goroutine 7; `weft bt all` for all of them
    (gdb) weft apply 7 info locals   any command, in the frame of goroutine 7's top function
    (gdb) weft gcore FILE            a core file that has all stacks

Everything is found through one object, weft_debug_root (runtime/src/symbols/debug_root.h), so a symbol table is enough;
debug information adds arguments, files and lines.

A goroutine that is not on a thread is a stack pointer, with its registers on its stack. gdb has no notion of such a
thing, and a core's registers can't be written. So for the time of a walk an unwinder claims the innermost frame of some
thread and says that its caller's registers are the goroutine's: the frames from there on are the goroutine's.
"""

import bisect
import contextlib
import os
import re
import struct
import time

import gdb
import gdb.unwinder

ROOT_VERSION = 2
ROOT_FIELDS = ("version", "slabs", "goroutine_below_top", "colours", "colour_step", "state", "status_mask", "saved_sp",
               "entry", "stack_low", "id", "parent_id", "reason", "since", "creator_file", "creator_function",
               "creator_line")
MAX_STATES = 8
MAX_WAIT_REASONS = 64
DEAD = "dead"
WAITING = "waiting"

MAX_FRAMES = 1000

# What a suspended stack holds, from its stack pointer up; runtime/src/arch/context_<arch>.S draws it.
SAVED_REGISTERS = {
    "x86-64": ({"r15": 0, "r14": 8, "r13": 16, "r12": 24, "rbx": 32, "rbp": 40, "rip": 48}, "rsp", 56),
    "aarch64": ({**{f"x{19 + i}": 64 + 8 * i for i in range(11)}, "pc": 152}, "sp", 160),
}

# Frames of weft's own and of the standard library, by the start of their mangled name. The user's function is below
# them.
OWN_SYMBOL = re.compile(r"_ZZ*N?[VK]*(?:4weft|St|9__gnu_cxx)|weft_(?:start|switch)_context$")
OWN_NAME = re.compile(r"(?:weft|std|__gnu_cxx)::")
OWN_FILE = re.compile(r"(?:^|/)(?:include/weft|runtime/src|include/c\+\+)/")


def fail(text):
    raise gdb.GdbError("weft: " + text)


def read(address, size):
    return bytes(gdb.selected_inferior().read_memory(address, size))


def read_words(address, count):
    return struct.unpack(f"<{count}Q", read(address, 8 * count))


def read_word(address):
    return read_words(address, 1)[0]


def read_text(address):
    return gdb.Value(address).cast(gdb.lookup_type("char").pointer()).string(errors="replace")


def architecture():
    name = gdb.selected_inferior().architecture().name()
    if "x86-64" in name:
        return "x86-64"
    if name.startswith("aarch64"):
        return "aarch64"
    fail(f"goroutines of a program for {name} are unknown; x86-64 and aarch64 are known")


class Goroutine:
    def __init__(self, address, layout):
        self.address = address
        self.layout = layout
        word = read_word(address + layout.state)
        status = word & layout.status_mask
        self.state = layout.states.get(status, f"state {status}")
        self.stack_low = read_word(address + layout.stack_low)

    def read_details(self):
        layout = self.layout
        self.id = read_word(self.address + layout.id)
        self.parent_id = read_word(self.address + layout.parent_id)
        self.saved_sp = read_word(self.address + layout.saved_sp)
        self.entry = read_word(self.address + layout.entry)
        reason = read(self.address + layout.reason, 1)[0]
        self.wait_reason = layout.wait_reasons.get(reason, f"reason {reason}") if self.state == WAITING else ""
        self.since = struct.unpack("<q", read(self.address + layout.since, 8))[0]
        self.creator, self.created_at = self._read_creator()
        self.thread = None  # the gdb thread that is on this goroutine's stack
        return self

    def _read_creator(self):
        layout = self.layout
        line = struct.unpack("<I", read(self.address + layout.creator_line, 4))[0]
        if line == 0:
            return "", ""
        file = read_text(read_word(self.address + layout.creator_file))
        function = read_text(read_word(self.address + layout.creator_function))
        return function, f"{file}:{line}"

    def holds(self, sp):
        return self.stack_low <= sp < self.address


class Runtime:
    """What the process had at the moment of the command: nothing is kept from one command to the next."""

    def __init__(self):
        if not gdb.selected_inferior().threads():
            fail("no process and no core: start the program, attach to it, or load a core file")
        address = self._root()
        for name, value in zip(ROOT_FIELDS, read_words(address, len(ROOT_FIELDS))):
            setattr(self, name, value)
        if self.version != ROOT_VERSION:
            fail(f"the program's weft_debug_root is version {self.version}, this script reads version {ROOT_VERSION}: "
                 "use the weft-gdb.py of the weft that the program was built with")
        texts = read_words(address + 8 * len(ROOT_FIELDS), MAX_STATES + MAX_WAIT_REASONS)
        self.states = {i: read_text(p) for i, p in enumerate(texts[:MAX_STATES]) if p}
        self.wait_reasons = {i: read_text(p) for i, p in enumerate(texts[MAX_STATES:]) if p}
        try:
            self._read_slabs()
            self._read_goroutines()
        except gdb.MemoryError as error:
            fail(f"the goroutines' memory can't be read ({error}): is the core complete (file size, coredump_filter)?")
        self._find_threads()

    @staticmethod
    def _root():
        try:
            return int(gdb.parse_and_eval("(unsigned long)&weft_debug_root"))
        except gdb.error:
            pass
        if not gdb.objfiles():
            fail("no symbols: tell gdb the program (file PROGRAM)")
        fail("this program has no weft runtime, or it is stripped (no symbol weft_debug_root)")

    def _read_slabs(self):
        self.slab_list = []
        slab, = read_words(self.slabs, 1)
        while slab != 0:
            slab, *fields = read_words(slab, 4)
            self.slab_list.append(fields)

    def slots(self):
        """Yields (low end of the slot, stride, Goroutine) of every slot that was ever in use."""
        for base, stride, count in self.slab_list:
            for i in range(count):
                low = base + i * stride
                g = Goroutine(low + stride - self.goroutine_below_top - (i % self.colours) * self.colour_step, self)
                if g.stack_low != 0:
                    yield low, stride, g
                elif i == 0:
                    # A slab is made for its first slot, so the first slot was in use.
                    fail("the stacks are not in this core: gdb's gcore gives up a mapping at its first guard page. "
                         "Write cores with `weft gcore FILE`, or let the kernel write them")
                else:
                    break

    def _read_goroutines(self):
        live = [g.read_details() for _, _, g in self.slots() if g.state != DEAD]
        self.goroutines = sorted(live, key=lambda g: g.id)
        self.by_address = sorted(live, key=lambda g: g.address)
        self.addresses = [g.address for g in self.by_address]

    def holder_of(self, sp):
        i = bisect.bisect_right(self.addresses, sp)
        return self.by_address[i] if i < len(self.addresses) and self.by_address[i].holds(sp) else None

    def _find_threads(self):
        """Looks at each frame, because a signal handler may stand on a stack of its own above the goroutine's."""
        with kept_selection():
            for thread in gdb.selected_inferior().threads():
                if not thread.is_valid():
                    continue
                thread.switch()
                for frame in frames_from(gdb.newest_frame(), 200):
                    g = self.holder_of(int(frame.read_register("sp")))
                    if g is not None:
                        g.thread = thread
                        break

    def find(self, text):
        try:
            wanted = int(text, 0)
        except ValueError:
            fail(f'"{text}" is not the number of a goroutine; `weft goroutines` lists them')
        for g in self.goroutines:
            if g.id == wanted:
                return g
        fail(f"there is no goroutine {wanted}; `weft goroutines` lists those that live")

    def clock(self):
        """Returns the steady clock in nanoseconds, and whether it is exact: a core has only the time of its last
        park."""
        connection = gdb.selected_inferior().connection
        if connection is not None and connection.type == "native":
            return time.clock_gettime_ns(time.CLOCK_MONOTONIC), True
        return max((g.since for g in self.goroutines), default=0), False


class SubstituteId:
    def __init__(self, sp, pc):
        self.sp = sp
        self.pc = pc


class GoroutineUnwinder(gdb.unwinder.Unwinder):
    """Claims the frame at (sp, pc) and gives it a goroutine's frame as its caller."""

    def __init__(self):
        super().__init__("weft goroutines")
        self.enabled = False
        self.substitute = None

    def __call__(self, pending):
        if self.substitute is None:
            return None
        real_sp, real_pc, registers = self.substitute
        sp = pending.read_register("sp")
        pc = pending.read_register("pc")
        if int(sp) != real_sp or int(pc) != real_pc:
            return None
        # The goroutine's frames are "older" than this one, so its id must be below them.
        info = pending.create_unwind_info(SubstituteId(gdb.Value(registers["saved sp"]).cast(sp.type), pc))
        for name, value in registers.items():
            if name != "saved sp":
                info.add_saved_register(name, gdb.Value(value).cast(pending.read_register(name).type))
        return info


unwinder = GoroutineUnwinder()
gdb.unwinder.register_unwinder(None, unwinder, replace=True)


@contextlib.contextmanager
def kept_selection():
    thread = gdb.selected_thread()
    level = None
    with contextlib.suppress(gdb.error):
        level = gdb.selected_frame().level()
    try:
        yield
    finally:
        if thread is not None and thread.is_valid():
            thread.switch()
            if level is not None:
                with contextlib.suppress(gdb.error):
                    gdb.execute(f"frame level {level}", to_string=True)


def frames_from(frame, limit):
    """Yields the frame and its callers, at most `limit`; ends where gdb can't unwind on."""
    while frame is not None and limit > 0:
        yield frame
        limit -= 1
        try:
            frame = frame.older()
        except gdb.error:
            return


@contextlib.contextmanager
def frames_of(g):
    """Gives the innermost frame of the goroutine; frames are valid inside the with-block only."""
    with kept_selection():
        if g.thread is not None:
            g.thread.switch()
            yield gdb.newest_frame()
            return
        if gdb.selected_thread() is None:
            gdb.selected_inferior().threads()[0].switch()
        offsets, sp_name, size = SAVED_REGISTERS[architecture()]
        registers = {name: read_word(g.saved_sp + offset) for name, offset in offsets.items()}
        registers[sp_name] = g.saved_sp + size
        registers["saved sp"] = g.saved_sp

        # gdb does not ask an unwinder for frames of inlined functions, but for the frame around them.
        outer = next(f for f in frames_from(gdb.newest_frame(), MAX_FRAMES) if f.type() != gdb.INLINE_FRAME)
        claimed = outer.level()
        unwinder.substitute = (int(outer.read_register("sp")), int(outer.read_register("pc")), registers)
        unwinder.enabled = True
        gdb.invalidate_cached_frames()
        try:
            frame = next((f for f in frames_from(gdb.newest_frame(), MAX_FRAMES) if f.level() > claimed), None)
            if frame is None:
                fail(f"the stack of goroutine {g.id} can't be read")
            yield frame
        finally:
            unwinder.substitute = None
            unwinder.enabled = False
            gdb.invalidate_cached_frames()


def symbol_at(address, demangle):
    try:
        text = gdb.execute(f"with print demangle {'on' if demangle else 'off'} -- info symbol {address:#x}",
                           to_string=True)
    except gdb.error:
        return ""
    match = re.match(r"(.*?)(?: \+ \d+)? in section ", text)
    return match.group(1) if match else ""


def call_address(frame):
    """Returns an address inside the call that the frame is in: a return address may be the next function's."""
    newer = frame.newer()
    interrupted = newer is None or newer.type() == gdb.SIGTRAMP_FRAME
    return frame.pc() if interrupted else frame.pc() - 1


def function_name(frame):
    name = frame.name()
    if name and name not in ("operator()", "_FUN"):
        return name
    # gdb's names of lambdas don't say whose they are.
    if frame.type() != gdb.INLINE_FRAME:
        name = symbol_at(call_address(frame), True) or name
    return name or "??"


def is_own(frame):
    function = frame.function()
    if frame.type() == gdb.INLINE_FRAME:
        if function is not None and function.linkage_name and function.linkage_name.startswith("_Z"):
            return OWN_SYMBOL.match(function.linkage_name) is not None
        if OWN_NAME.match(frame.name() or ""):
            return True
    elif OWN_SYMBOL.match(symbol_at(call_address(frame), False)):
        return True
    # An inlined lambda has no name of its own; its file tells.
    return (function is not None and function.symtab is not None
            and OWN_FILE.search(function.symtab.fullname()) is not None)


def place(frame):
    sal = frame.find_sal()
    return f"{sal.symtab.filename}:{sal.line}" if sal.symtab is not None and sal.line > 0 else ""


def arguments(frame):
    try:
        block = frame.block()
    except RuntimeError:
        return ""
    while block is not None and block.function is None:
        block = block.superblock
    texts = []
    for symbol in block if block is not None else ():
        if symbol.is_argument:
            try:
                texts.append(f"{symbol.name}={symbol.value(frame).format_string(summary=True, max_depth=1)}")
            except (gdb.error, RuntimeError):
                texts.append(f"{symbol.name}=?")
    return ", ".join(texts)


def describe(frame, number):
    text = f"#{number:<3d}{frame.pc():#018x} in {function_name(frame)}"
    given = arguments(frame)
    if given or not text.endswith(")"):
        text += f" ({given})"
    where = place(frame)
    return f"{text} at {where}" if where else text


def top_frame(first):
    """Returns the innermost frame that is the user's; without one, the innermost that is no switch."""
    fallback = first
    for frame in frames_from(first, MAX_FRAMES):
        if not is_own(frame):
            return frame
        if "weft::rt::" in (fallback.name() or "") or fallback == first:
            fallback = frame
    return fallback


def not_started(g, first):
    """Returns whether g never ran: then it resumes at the first instruction of its start, which is in no call."""
    return g.thread is None and symbol_at(first.pc(), False) == "weft_start_context" != symbol_at(first.pc() - 1, False)


def duration(ns):
    if ns >= 60_000_000_000:
        return f"{ns // 60_000_000_000} min"
    if ns >= 1_000_000_000:
        return f"{ns / 1e9:.1f} s"
    return f"{max(ns, 0) / 1e6:.1f} ms"


def waited(g, clock):
    if g.state != WAITING:
        return ""
    now, exact = clock
    if exact:
        return duration(now - g.since)
    return ">= " + duration(now - g.since) if now > g.since else ""


def print_table(rows):
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        gdb.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() + "\n")


class WeftCommand(gdb.Command):
    """Goroutines of a weft program: weft goroutines, weft bt, weft apply, weft gcore."""

    def __init__(self):
        super().__init__("weft", gdb.COMMAND_STACK, prefix=True)


class GoroutinesCommand(gdb.Command):
    """weft goroutines
Lists every live goroutine: its id, its parent's id, its state, what it waits for and since when, and the user's
innermost function that it is in. In a core, how long it waited is counted up to the last time that any goroutine
parked."""

    def __init__(self):
        super().__init__("weft goroutines", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        if argument.strip():
            fail("usage: weft goroutines")
        runtime = Runtime()
        clock = runtime.clock()
        rows = [("ID", "PARENT", "STATE", "WAITS FOR", "SINCE", "FUNCTION")]
        for g in runtime.goroutines:
            with frames_of(g) as first:
                if not_started(g, first):
                    function = f"not started: {symbol_at(g.entry, True)}"
                else:
                    top = top_frame(first)
                    where = place(top)
                    function = function_name(top) + (f" at {where}" if where else "")
            if g.creator:
                function += f", created at {g.created_at}"
            state = g.state if g.thread is None else f"{g.state} (thread {g.thread.num})"
            rows.append((str(g.id), str(g.parent_id), state, g.wait_reason, waited(g, clock), function))
        if runtime.goroutines:
            print_table(rows)
        else:
            gdb.write("no goroutines\n")


class BacktraceCommand(gdb.Command):
    """weft bt ID | all
Prints the backtrace of one goroutine, or of all, whatever they do: parked, runnable or running."""

    def __init__(self):
        super().__init__("weft bt", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) != 1:
            fail("usage: weft bt ID | all")
        runtime = Runtime()
        clock = runtime.clock()
        chosen = runtime.goroutines if words[0] == "all" else [runtime.find(words[0])]
        for i, g in enumerate(chosen):
            if i > 0:
                gdb.write("\n")
            self._print(g, clock)

    @staticmethod
    def _print(g, clock):
        doing = ", ".join(text for text in (g.wait_reason or g.state, waited(g, clock)) if text)
        thread = f", on thread {g.thread.num}" if g.thread is not None else ""
        gdb.write(f"goroutine {g.id} [{doing}{thread}]:\n")
        with frames_of(g) as first:
            if not_started(g, first):
                gdb.write(f"not started: {symbol_at(g.entry, True)}\n")
            else:
                number = -1
                for number, frame in enumerate(frames_from(first, MAX_FRAMES)):
                    gdb.write(describe(frame, number) + "\n")
                if number == MAX_FRAMES - 1:
                    gdb.write("(more frames follow)\n")
        creator = f" by {g.creator} at {g.created_at}" if g.creator else ""
        gdb.write(f"created{creator} in goroutine {g.parent_id}\n" if g.parent_id else "created outside goroutines\n")


class ApplyCommand(gdb.Command):
    """weft apply ID COMMAND
Runs a gdb command in the frame of the user's innermost function in the goroutine: `weft apply 7 info locals`. `up` and
`down` inside the command (`weft apply 7 up 2`) don't last: afterwards the selected thread and frame are as before."""

    def __init__(self):
        super().__init__("weft apply", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = argument.split(None, 1)
        if len(words) != 2:
            fail("usage: weft apply ID COMMAND")
        with frames_of(Runtime().find(words[0])) as first:
            top_frame(first).select()
            gdb.execute(words[1], from_tty)


class CoreCommand(gdb.Command):
    """weft gcore FILE
Writes a core file of the live process, like gcore, with the stacks of all goroutines. gdb's gcore may give up a mapping
at the first page that it can't read, which is where the guard of the first stack is."""

    def __init__(self):
        super().__init__("weft gcore", gdb.COMMAND_STACK)

    def invoke(self, argument, from_tty):
        words = gdb.string_to_argv(argument)
        if len(words) != 1:
            fail("usage: weft gcore FILE")
        path = os.path.expanduser(words[0])
        runtime = Runtime()
        gdb.execute("generate-core-file " + words[0], to_string=True)
        with open(path, "r+b") as core:
            segments = self._segments(core)
            for low, stride, g in runtime.slots():
                self._fill(core, segments, g.stack_low, read(g.stack_low, low + stride - g.stack_low))
        gdb.write(f"Saved corefile {path}\n")

    @staticmethod
    def _segments(core):
        """Returns the loadable segments as (address, size in the file, offset), sorted."""
        header = struct.unpack("<16sHHIQQQIHHHHHH", core.read(64))
        program_headers, section_headers, entry_size, count = header[5], header[6], header[9], header[10]
        if count == 0xFFFF:  # too many for the field: the first section header has the number
            core.seek(section_headers + 44)
            count = struct.unpack("<I", core.read(4))[0]
        segments = []
        for i in range(count):
            core.seek(program_headers + i * entry_size)
            kind, _, offset, address, _, size, _, _ = struct.unpack("<IIQQQQQQ", core.read(56))
            if kind == 1:
                segments.append((address, size, offset))
        return sorted(segments)

    @staticmethod
    def _fill(core, segments, address, data):
        page = 4096
        for begin in range(0, len(data), page):
            piece = data[begin:begin + page]
            if not any(piece):
                continue  # what is not written reads as zero
            at = address + begin
            i = bisect.bisect_right(segments, (at, float("inf"))) - 1
            if i < 0 or at + len(piece) > segments[i][0] + segments[i][1]:
                fail(f"the core has no room for the stack at {at:#x}: gdb left its mapping out")
            core.seek(segments[i][2] + at - segments[i][0])
            core.write(piece)


WeftCommand()
GoroutinesCommand()
BacktraceCommand()
ApplyCommand()
CoreCommand()
