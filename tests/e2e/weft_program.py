"""What the program tests share: `weft serve` as a child process, and a client that sees every byte."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time

# For what is to happen soon. Sanitizers slow everything down, and machines may be slow.
PATIENCE = 60.0


def need(variable):
    """Returns the value of an environment variable that ctest sets."""
    value = os.environ.get(variable)
    if not value:
        sys.exit(f"{os.path.basename(sys.argv[0])}: {variable} is set by ctest; set it to run this by hand")
    return value


WEFT = need("WEFT_BIN")


def sanitizer():
    """Returns the sanitizer of the build: "", "address" or "thread"."""
    with open(os.path.join(need("WEFT_BUILD_DIR"), "CMakeCache.txt"), encoding="utf-8") as cache:
        for line in cache:
            if line.startswith("WEFT_SANITIZE:"):
                return line.strip().split("=", 1)[1]
    return ""


def clean_environment(**changes):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("WEFT_")}
    environment.update(changes)
    return environment


def run(*arguments, environment=None, wrapper=(), timeout=PATIENCE):
    """Runs the program to its end."""
    return subprocess.run([*wrapper, WEFT, *arguments], env=environment or clean_environment(), timeout=timeout,
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)


class Server:
    """`weft serve` on ports that the kernel chose. It ends with the with-block."""

    def __init__(self, *arguments, environment=None, wrapper=(), wait=True, preexec=None):
        self._log = tempfile.TemporaryFile(mode="w+b")
        command = [*wrapper, WEFT, "serve", "--address", "127.0.0.1:0", "--debug-address", "127.0.0.1:0", *arguments]
        self.process = subprocess.Popen(command, env=environment or clean_environment(), stdin=subprocess.DEVNULL,
                                        stdout=subprocess.DEVNULL, stderr=self._log, preexec_fn=preexec)
        self.pid = self.process.pid
        if wait:
            try:
                self._wait_for_addresses()
                wait_until(lambda: get(self.address, "/readyz").status == 200, "it is ready")
            except BaseException:
                self.end()
                raise

    def _wait_for_addresses(self):
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            found = dict(re.findall(r"listening server=(\w+) address=(\S+)\n", self.log()))
            if "debug" in found or ("http" in found and self.without_debug()):
                self.address = split(found["http"])
                self.debug_address = split(found["debug"]) if "debug" in found else None
                return
            if self.process.poll() is not None:
                break
            time.sleep(0.01)
        raise AssertionError(f"weft serve does not serve (status {self.process.poll()}):\n{self.log()}")

    def without_debug(self):
        return "" in self.process.args

    def log(self):
        size = os.fstat(self._log.fileno()).st_size
        return os.pread(self._log.fileno(), size, 0).decode()

    def lines(self):
        return self.log().splitlines()

    def vars(self):
        return json.loads(get(self.debug_address, "/debug/vars").body)

    def wait_for_line(self, text):
        deadline = time.monotonic() + PATIENCE
        while text not in self.log():
            if time.monotonic() > deadline:
                raise AssertionError(f"no line with {text!r}:\n{self.log()}")
            time.sleep(0.005)

    def signal(self, number=signal.SIGTERM):
        os.kill(self.pid, number)

    def wait(self):
        """Returns the exit status; -N for signal N."""
        return self.process.wait(PATIENCE)

    def end(self):
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(PATIENCE)
        self._log.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.end()


def split(address):
    host, port = address.rsplit(":", 1)
    return host.strip("[]"), int(port)


class Response:
    def __init__(self, status, fields, body, chunks):
        self.status = status
        self.fields = fields
        self.body = body
        self.chunks = chunks  # None for a body that is not chunked

    def field(self, name):
        return next((value for key, value in self.fields if key.lower() == name.lower()), None)


class Client:
    """One connection. It trusts nothing: it checks the framing as it reads."""

    def __init__(self, address, timeout=PATIENCE):
        self.socket = socket.create_connection(address, timeout=timeout)
        self.buffer = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def send(self, data):
        self.socket.sendall(data.encode() if isinstance(data, str) else data)

    def request(self, method, target, body=None, fields=()):
        head = [f"{method} {target} HTTP/1.1", "Host: test", *fields]
        if body is not None:
            head.append(f"Content-Length: {len(body)}")
        self.send("\r\n".join(head).encode() + b"\r\n\r\n" + (body or b""))
        return self.response(method)

    def get(self, target):
        return self.request("GET", target)

    def response(self, method="GET"):
        while True:
            lines = self._until(b"\r\n\r\n").decode("latin-1").split("\r\n")
            version, status, *_ = lines[0].split(" ", 2)
            assert version == "HTTP/1.1", lines[0]
            fields = [tuple(part.strip() for part in line.split(":", 1)) for line in lines[1:]]
            response = Response(int(status), fields, b"", None)
            if response.status >= 200:
                break
        if method == "HEAD" or response.status in (204, 304):
            return response
        if (response.field("Transfer-Encoding") or "").lower() == "chunked":
            response.chunks = self._chunks()
            response.body = b"".join(response.chunks)
        elif response.field("Content-Length") is not None:
            response.body = self._exactly(int(response.field("Content-Length")))
        else:
            response.body = self.rest()
        return response

    def rest(self):
        """Returns everything until the server ends the connection."""
        data, self.buffer = self.buffer, b""
        while True:
            more = self.socket.recv(65536)
            if not more:
                return data
            data += more

    def _chunks(self):
        chunks = []
        while True:
            size = int(self._until(b"\r\n"), 16)
            data = self._exactly(size)
            assert self._exactly(2) == b"\r\n"
            if size == 0:
                return chunks
            chunks.append(data)

    def _more(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError(f"the server hung up after {self.buffer[:200]!r}")
        self.buffer += data

    def _until(self, end):
        while end not in self.buffer:
            self._more()
        head, self.buffer = self.buffer.split(end, 1)
        return head

    def _exactly(self, size):
        while len(self.buffer) < size:
            self._more()
        data, self.buffer = self.buffer[:size], self.buffer[size:]
        return data


def get(address, target):
    with Client(address) as client:
        return client.get(target)


def refused(address):
    try:
        socket.create_connection(address, timeout=PATIENCE).close()
    except (ConnectionRefusedError, ConnectionResetError):  # a reset: the listener closed during the handshake
        return True
    return False


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {PATIENCE:.0f} s: {what}")
        time.sleep(0.01)


def io_uring_works():
    """Returns False where the kernel or a seccomp profile forbids io_uring."""
    with Server("--poller", "auto") as server:
        return "poller name=io_uring " in server.log()
