"""Builds, starts, checks, measures and ends the servers under test.

Every server is a child process on a free loopback port, ended by its pid with a time bound, also when the runner is
interrupted (Server is a context manager) or killed (the kernel then kills its children).
"""

import atexit
import ctypes
import dataclasses
import email.utils
import os
import platform
import random
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
PEERS = os.path.join(HERE, "peers")
BUILD = os.path.join(ROOT, "build", "loadtest")

SERVERS = ["weft-io_uring", "weft-epoll", "go", "nginx", "bare_epoll", "bare_uring"]
OPTIONAL = ["nginx", "bare_uring"]  # left out, with one line, when they are not there
BENCH_DEPS = "cmake/install-deps.sh bench"

FIRST_PORT = 10000
START_SECONDS = 10
STOP_SECONDS = 15
NAME = "you"
TICK = os.sysconf("SC_CLK_TCK")


class Failure(Exception):
    """A server did something wrong. The run goes on with the others and ends with status 1.

    `sample` is what was measured nevertheless.
    """

    def __init__(self, text, sample=None):
        super().__init__(text)
        self.sample = sample


def note(text):
    print("loadtest: " + text, file=sys.stderr, flush=True)


def quit_with(text):
    note(text)
    sys.exit(2)


def need_tool(tool):
    path = shutil.which(tool)
    if path is None:
        quit_with(f"{tool} is not installed; run: {BENCH_DEPS}")
    return path


# ---- building ------------------------------------------------------------------------------------------------------


def is_fresh(target, sources):
    return os.path.exists(target) and all(os.path.getmtime(s) <= os.path.getmtime(target) for s in sources)


def build_cc(name):
    """Compiles peers/<name>.cc with every header beside it; returns the program, or the compiler's first error line."""
    need_tool("g++")
    os.makedirs(BUILD, exist_ok=True)
    target = os.path.join(BUILD, name)
    source = os.path.join(PEERS, name + ".cc")
    headers = [os.path.join(PEERS, f) for f in os.listdir(PEERS) if f.endswith(".h")]
    if is_fresh(target, [source] + headers):
        return target, None
    # Another runner may do the same at the same time.
    unfinished = f"{target}.{os.getpid()}"
    command = ["g++", "-std=c++20", "-O2", "-Wall", "-Wextra", "-pthread", source, "-o", unfinished]
    if name == "bare_uring":
        command.append("-luring")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode == 0:
        os.replace(unfinished, target)
        return target, None
    errors = [line for line in done.stderr.splitlines() if "error" in line] or ["g++ failed"]
    return None, errors[0].replace(ROOT + "/", "")


def build_go(folder=os.path.join(PEERS, "go"), name="go_peer"):
    """Builds the Go program that is all of `folder`."""
    need_tool("go")
    os.makedirs(BUILD, exist_ok=True)
    target = os.path.join(BUILD, name)
    if is_fresh(target, [os.path.join(folder, f) for f in os.listdir(folder)]):
        return target
    env = dict(os.environ, GOFLAGS="-mod=mod", GOPROXY="off", CGO_ENABLED="0")
    done = subprocess.run(["go", "build", "-o", target, "."], cwd=folder, env=env, capture_output=True, text=True)
    if done.returncode != 0:
        quit_with("go build: " + done.stderr.strip())
    return target


def find_weft(given):
    path = given or os.path.join(ROOT, "build", "release", "bin", "weft")
    if os.access(path, os.X_OK) and os.path.isfile(path):
        return os.path.abspath(path)
    shown = path.replace(ROOT + "/", "")
    quit_with(f"no program at {shown}: build weft in release mode, or name it with --weft PATH")


def build(names, weft):
    """Returns {server: program} for the servers that can be had."""
    programs = {}
    for name in names:
        if name.startswith("weft-"):
            programs[name] = find_weft(weft)
        elif name == "go":
            programs[name] = build_go()
        elif name == "nginx":
            path = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
            if path:
                programs[name] = path
            else:
                note("nginx is not installed: left out")
        else:
            path, error = build_cc(name)
            if path:
                programs[name] = path
            elif name in OPTIONAL:
                note(f"{name} does not build: left out ({error})")
            else:
                quit_with(f"{name} does not build: {error}")
    return programs


# ---- one request and its reply, looked at closely ------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class Exchange:
    """What a scenario asks, and with it what the reply must be."""
    path: str = f"/hello/{NAME}"
    upload: bytes | None = None  # the body of a POST, which must come back; None: a GET
    close: bool = False          # Connection: close, so that each request has a connection of its own

    def request(self, port):
        head = [f"{'GET' if self.upload is None else 'POST'} {self.path} HTTP/1.1", f"Host: 127.0.0.1:{port}"]
        if self.close:
            head.append("Connection: close")
        if self.upload is not None:
            head.append(f"Content-Length: {len(self.upload)}")
        return "\r\n".join(head + ["", ""]).encode() + (self.upload or b"")

    def content_type(self):
        return "text/plain; charset=utf-8" if self.upload is None else "application/octet-stream"


HELLO = Exchange()
HELLO_AND_CLOSE = Exchange(close=True)
ECHO = Exchange(path="/echo", upload=b"0123456789abcdef" * 256)  # wrk/echo.lua sends the same


class Reply:
    def __init__(self, sock, port, exchange):
        sock.sendall(exchange.request(port))
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more(sock)
        head, self.body = data.split(b"\r\n\r\n", 1)
        lines = head.decode("latin-1").split("\r\n")
        self.status_line = lines[0]
        fields = {k.lower(): v for k, v in (line.split(": ", 1) for line in lines[1:])}
        self.content_type = fields.get("content-type")
        self.connection = fields.get("connection", "")
        self.date = fields.get("date")
        self.chunked = fields.get("transfer-encoding") == "chunked"
        self.length = int(fields["content-length"]) if fields.get("content-length", "").isdigit() else None
        while not self.body.endswith(b"0\r\n\r\n") if self.chunked else len(self.body) < (self.length or 0):
            self.body += self._more(sock)
        self.size = len(head) + 4 + len(self.body)
        if self.chunked:
            self.body = self._join_chunks(self.body)
        self.ended = exchange.close and sock.recv(1) == b""

    @staticmethod
    def _more(sock):
        data = sock.recv(65536)
        if not data:
            raise Failure("the connection ended within a reply")
        return data

    @staticmethod
    def _join_chunks(data):
        body = b""
        while True:
            line, data = data.split(b"\r\n", 1)
            length = int(line, 16)
            body, end, data = body + data[:length], data[length:length + 2], data[length + 2:]
            if end != b"\r\n":
                raise Failure("a wrong reply: a chunk has another length than it says")
            if length == 0:
                return body

    def check(self, exchange, body):
        problems = []
        if not self.status_line.startswith("HTTP/1.1 200"):
            problems.append(f"status line {self.status_line!r}")
        if self.content_type != exchange.content_type():
            problems.append(f"Content-Type {self.content_type!r}")
        if self.length != len(self.body) and not self.chunked:
            problems.append(f"Content-Length {self.length} for {len(self.body)} bytes of body")
        if email.utils.parsedate(self.date or "") is None:
            problems.append(f"Date {self.date!r}")
        if body is not None and self.body != body:
            problems.append(f"body {self.body[:80]!r}, not {body[:80]!r}")
        if exchange.close and self.connection.lower() != "close":
            problems.append(f"Connection {self.connection!r}, not close")
        if exchange.close and not self.ended:
            problems.append("more bytes where the connection should end")
        if problems:
            raise Failure("a wrong reply: " + ", ".join(problems))


# ---- a running server ----------------------------------------------------------------------------------------------

_libc = ctypes.CDLL(None)
_running = set()


def die_with_parent(by=signal.SIGKILL):
    _libc.prctl(1, by)  # PR_SET_PDEATHSIG


@atexit.register
def _end_all():
    for server in list(_running):
        server.stop()


def free_port():
    """Returns a port that nobody has, where possible outside the range from which the kernel gives ports to clients.

    From inside that range, a client could be given the port before the server binds it. It could even be the runner's
    own client, which asks whether the server listens yet: it would then be connected to itself.
    """
    with open("/proc/sys/net/ipv4/ip_local_port_range") as f:
        end = int(f.read().split()[0])
    candidates = random.sample(range(FIRST_PORT, end), 50) if end >= FIRST_PORT + 1000 else []
    for port in candidates + [0]:
        with socket.socket() as s:
            try:
                s.bind(("127.0.0.1", port))
                return s.getsockname()[1]
            except OSError:
                pass
    quit_with("there is no free port")


class Server:
    """A running server. In `with Server(name, program, procs, hello, exchange) as server:` it answers on server.port.

    `hello` is what it says at /hello/you, in bytes; None: whatever it likes. `exchange` is what it is checked by.
    """

    def __init__(self, name, program, procs, hello, exchange):
        self.name = name
        self.program = program
        self.procs = procs
        self.hello = hello
        self.exchange = exchange
        self.expected = hello if exchange.upload is None else exchange.upload
        self.process = None
        self.reply = None

    def command(self):
        address = f"127.0.0.1:{self.port}"
        text = (self.hello or b"").decode()
        if self.name.startswith("weft-"):
            return [self.program, "serve", "--address", address, "--debug-address", f"127.0.0.1:{free_port()}",
                    "--poller", self.name[len("weft-"):], "--procs", str(self.procs), "--log-level", "warn"]
        if self.name == "go":
            before, _, after = text.partition(NAME)
            return [self.program, "-address", address, "-procs", str(self.procs), "-before", before, "-after", after]
        if self.name == "nginx":
            return [self.program, "-e", "stderr", "-c", self._nginx_config(text)]
        return [self.program, "--address", address, "--procs", str(self.procs), "--body", text]

    def _nginx_config(self, text):
        folder = os.path.join(BUILD, "nginx")
        os.makedirs(folder, exist_ok=True)
        with open(os.path.join(PEERS, "nginx.conf")) as f:
            config = f.read()
        escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        for mark, value in (("PROCS", self.procs), ("PORT", self.port), ("BODY", escaped), ("DIR", folder)):
            config = config.replace(f"@{mark}@", str(value))
        path = os.path.join(folder, "nginx.conf")
        with open(path, "w") as f:
            f.write(config)
        return path

    def __enter__(self):
        os.makedirs(BUILD, exist_ok=True)
        self.log_path = os.path.join(BUILD, self.name + ".log")
        self.port = free_port()
        # nginx's master must live to end its workers.
        by = signal.SIGTERM if self.name == "nginx" else signal.SIGKILL
        with open(self.log_path, "wb") as log:
            self.process = subprocess.Popen(self.command(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            preexec_fn=lambda: die_with_parent(by))
        _running.add(self)
        try:
            self._wait_until_it_answers()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *_):
        self.stop()

    def _wait_until_it_answers(self):
        end = time.monotonic() + START_SECONDS
        while True:
            if self.process.poll() is not None:
                raise Failure(f"ended at once with status {self.process.returncode}: {self.log_tail()}")
            try:
                sock = socket.create_connection(("127.0.0.1", self.port), timeout=2)
                break
            except OSError:
                if time.monotonic() > end:
                    raise Failure(f"does not listen after {START_SECONDS} s: {self.log_tail()}") from None
                time.sleep(0.01)
        self._check_replies(sock)

    def _check_replies(self, sock):
        """Checks two replies: both on `sock`, or, when connections end with their reply, the second on a new one."""
        try:
            with sock:
                self._ask(sock)
                if not self.exchange.close:
                    self._ask(sock)
            if self.exchange.close:
                with socket.create_connection(("127.0.0.1", self.port), timeout=5) as sock:
                    self._ask(sock)
        except OSError as error:
            raise Failure(f"does not answer: {error}: {self.log_tail()}") from None

    def _ask(self, sock):
        self.reply = Reply(sock, self.port, self.exchange)
        self.reply.check(self.exchange, self.expected)

    def log_tail(self):
        with open(self.log_path, errors="replace") as f:
            lines = f.read().strip().splitlines()
        return " | ".join(lines[-5:]) or "(it printed nothing)"

    def pids(self):
        """Returns the server's process and those that it started (nginx's workers)."""
        parents = {}
        for entry in os.listdir("/proc"):
            if entry.isdigit():
                try:
                    parents[int(entry)] = int(_stat_fields(f"/proc/{entry}/stat")[1])
                except OSError:
                    pass
        found = [self.process.pid]
        for pid in found:
            found.extend(child for child, parent in parents.items() if parent == pid)
        return found

    def stop(self):
        """Sends SIGTERM, and SIGKILL after the time bound. Returns the exit status; None after a SIGKILL."""
        if self.process is None:
            return None
        children = self.pids()[1:] if self.process.poll() is None else []
        killed = False
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                killed = True
                self.process.kill()
                self.process.wait()
                for pid in children:
                    try:
                        os.kill(pid, signal.SIGKILL)
                    except ProcessLookupError:
                        pass
        _running.discard(self)
        return None if killed else self.process.returncode

    def stop_checked(self):
        status = self.stop()
        if status is None:
            raise Failure(f"still ran {STOP_SECONDS} s after SIGTERM and was killed: {self.log_tail()}")
        if status != 0:
            raise Failure(f"ended with status {status} after SIGTERM: {self.log_tail()}")

    def check_still_serves(self):
        if self.process.poll() is not None:
            raise Failure(f"died under load with status {self.process.returncode}: {self.log_tail()}")
        try:
            sock = socket.create_connection(("127.0.0.1", self.port), timeout=5)
        except OSError as error:
            raise Failure(f"no longer accepts: {error}: {self.log_tail()}") from None
        self._check_replies(sock)


# ---- measuring -----------------------------------------------------------------------------------------------------


def _stat_fields(path):
    with open(path) as f:
        return f.read().rsplit(")", 1)[1].split()


class CpuClock:
    """CPU time of a server since construction, by two clocks.

    The fine one sums the first field of /proc/PID/task/*/schedstat: nanoseconds on a CPU, in user and kernel mode, of
    each living thread. The coarse one is utime + stime of /proc/PID/stat: the whole process, ended threads included,
    cut to clock ticks (10 ms). They agree but for the cut, unless a thread ended in between: then the coarse one is
    taken.
    """

    def __init__(self, server):
        self.server = server
        self.fine, self.coarse = self._read()

    def _read(self):
        fine, coarse = {}, 0
        for pid in self.server.pids():
            fields = _stat_fields(f"/proc/{pid}/stat")
            coarse += (int(fields[11]) + int(fields[12])) * (10**9 // TICK)
            for tid in os.listdir(f"/proc/{pid}/task"):
                try:
                    with open(f"/proc/{pid}/task/{tid}/schedstat") as f:
                        fine[tid] = int(f.read().split()[0])
                except (FileNotFoundError, ProcessLookupError):
                    pass  # the thread has just ended
        return fine, coarse

    def elapsed(self):
        """Returns (nanoseconds, {both clocks, and which one was taken}); the latter is for the JSON."""
        fine, coarse = self._read()
        fine_ns = sum(ns - self.fine.get(tid, 0) for tid, ns in fine.items())
        coarse_ns = coarse - self.coarse
        lost = not set(self.fine) <= set(fine) or coarse_ns - fine_ns > coarse_ns // 100 + 4 * (10**9 // TICK)
        taken = "ticks" if lost else "schedstat"
        return coarse_ns if lost else fine_ns, {"taken": taken, "schedstat_ns": fine_ns, "ticks_ns": coarse_ns}


def _sum_of_fields(server, file, field):
    total = 0
    for pid in server.pids():
        try:
            with open(f"/proc/{pid}/{file}") as f:
                total += sum(int(line.split()[1]) for line in f if line.startswith(field))
        except (FileNotFoundError, ProcessLookupError):
            pass  # the process has ended, and Server.check_still_serves will tell
    return total


def rss_kib(server, exact=False):
    """Returns the resident memory. VmRSS is a little late; `exact` walks the page tables."""
    return _sum_of_fields(server, "smaps_rollup", "Rss:") if exact else _sum_of_fields(server, "status", "VmRSS:")


def pss_kib(server):
    """Returns the resident memory, in which a page that n processes share counts as 1/n. Walks the page tables."""
    return _sum_of_fields(server, "smaps_rollup", "Pss:")


def thread_count(server):
    return sum(len(os.listdir(f"/proc/{pid}/task")) for pid in server.pids())


class MachineClock:
    """CPU seconds of the whole machine since construction: (busy, stolen by the hypervisor)."""

    def __init__(self):
        self.busy, self.stolen = self._read()

    @staticmethod
    def _read():
        with open("/proc/stat") as f:
            user, nice, system, _idle, _iowait, irq, softirq, steal = map(int, f.readline().split()[1:9])
        return (user + nice + system + irq + softirq) / TICK, steal / TICK

    def elapsed(self):
        busy, stolen = self._read()
        return busy - self.busy, stolen - self.stolen


def children_cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def raise_file_limit(wanted):
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < wanted:
        quit_with(f"the hard limit of open files is {hard}, this run needs {wanted}: raise it or lower --connections")


# ---- facts ---------------------------------------------------------------------------------------------------------


def first_line(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10)
    except (OSError, subprocess.TimeoutExpired):
        return None
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[0].split(" Copyright")[0] if lines else None


def _read_line(path):
    try:
        with open(path) as f:
            return f.readline().strip()
    except OSError:
        return None


def machine_facts():
    with open("/proc/cpuinfo") as f:
        models = [line.split(":", 1)[1].strip() for line in f if line.startswith(("model name", "Processor"))]
    with open("/proc/meminfo") as f:
        memory_kib = int(f.readline().split()[1])
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "cores_allowed": len(os.sched_getaffinity(0)),
        "cgroup_cpu_max": _read_line("/sys/fs/cgroup/cpu.max"),
        "memory_mib": memory_kib // 1024,
        "kernel": platform.release(),
        "load_average": [round(x, 2) for x in os.getloadavg()],
    }


def commit():
    name = first_line(["git", "-C", ROOT, "describe", "--always", "--dirty"])
    return None if name and name.startswith("fatal") else name


def versions(programs):
    facts = {"commit": commit(), "wrk": first_line(["wrk", "-v"])}
    for name, program in programs.items():
        if name.startswith("weft-"):
            facts["weft"] = first_line([program, "--version"])
        elif name == "go":
            facts["go"] = first_line(["go", "version"])
        elif name == "nginx":
            facts["nginx"] = first_line([program, "-v"])
        else:
            facts["g++"] = first_line(["g++", "--version"])
    return facts
