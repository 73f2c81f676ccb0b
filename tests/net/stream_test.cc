// Streams and acceptors of a program's own, and send_file().
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "net/pair.h"
#include "support/matrix.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/conn.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/sync.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::TimePoint;
using weft::net::Conn;

TimePoint in(std::chrono::nanoseconds d) { return std::chrono::steady_clock::now() + d; }

std::string pattern(std::size_t n) {
  std::string s(n, '\0');
  for (std::size_t i = 0; i < n; ++i) s[i] = static_cast<char>('a' + (i * 7 + i / 253) % 26);
  return s;
}

// An open file that has no name.
class File {
 public:
  explicit File(std::string_view content) {
    char path[] = "/tmp/weft_stream_test_XXXXXX";
    fd_ = ::mkostemp(path, O_CLOEXEC);
    EXPECT_GE(fd_, 0);
    ::unlink(path);
    EXPECT_EQ(::write(fd_, content.data(), content.size()), static_cast<ssize_t>(content.size()));
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::close(fd_); }
  int fd() const { return fd_; }

 private:
  int fd_ = -1;
};

using weft::testing::connect_pair;
using weft::testing::Pair;

std::string read_all(Conn conn) {
  std::string all;
  std::string buffer(50'000, '\0');
  for (;;) {
    const auto [n, ec] = conn.read(buffer);
    all.append(buffer, 0, n);
    if (ec) return all;
  }
}

// --- what is optional ------------------------------------------------------------------------------------------------

// Implements what a stream must have, and keeps what is written.
class Memory final : public weft::net::Stream {
 public:
  weft::IoResult read(std::span<char>) override { return {0, weft::Errc::eof}; }
  weft::IoResult writev(std::span<const std::string_view> parts) override {
    std::size_t n = 0;
    for (const std::string_view part : parts) {
      if (written.size() + part.size() > room) return {n, std::make_error_code(std::errc::broken_pipe)};
      written += part;
      n += part.size();
    }
    ++writes;
    return {n, {}};
  }
  std::error_code close() override { return {}; }
  void set_read_deadline(TimePoint) override {}
  void set_write_deadline(TimePoint) override {}

  std::string written;
  std::size_t room = static_cast<std::size_t>(-1);
  int writes = 0;
};

TEST(Stream, HasDefaults) {
  auto memory = std::make_shared<Memory>();
  Conn conn(memory);
  EXPECT_FALSE(conn.wait_readable());
  EXPECT_EQ(conn.close_read(), std::errc::operation_not_supported);
  EXPECT_EQ(conn.close_write(), std::errc::operation_not_supported);
  EXPECT_EQ(conn.on_hang_up([] {}), std::errc::operation_not_supported);
  EXPECT_EQ(conn.set_write_stall_timeout(1s), std::errc::operation_not_supported);
  EXPECT_TRUE(conn.local_address().is_none());
  EXPECT_TRUE(conn.remote_address().is_none());
  EXPECT_EQ(conn.network(), "");
  EXPECT_EQ(conn.error("read", weft::Errc::timeout).message(), "read: i/o timeout");
  EXPECT_EQ(conn.stream(), memory);
}

TEST(Stream, SendFileWritesTheFileByDefault) {
  auto memory = std::make_shared<Memory>();
  Conn conn(memory);
  const std::string content = pattern(200'000);
  const File file(content);
  EXPECT_EQ(conn.send_file(file.fd(), 0, content.size()).n, content.size());
  EXPECT_TRUE(memory->written == content);
  EXPECT_GT(memory->writes, 1);

  memory->written.clear();
  weft::IoResult result = conn.send_file(file.fd(), 199'990, 100);
  EXPECT_EQ(result.n, 10u);
  EXPECT_EQ(result.ec, Condition::eof);
  EXPECT_EQ(memory->written, content.substr(199'990));

  memory->written.clear();
  memory->room = 100'000;
  result = conn.send_file(file.fd(), 0, content.size());
  EXPECT_EQ(result.n, memory->written.size());
  EXPECT_EQ(result.ec, std::errc::broken_pipe);

  EXPECT_EQ(conn.send_file(-1, 0, 1).ec, std::errc::bad_file_descriptor);
  EXPECT_FALSE(conn.send_file(file.fd(), 0, 0).ec);
}

// A stream over another one, as TLS is.
class Upper final : public weft::net::Stream {
 public:
  explicit Upper(std::shared_ptr<weft::net::Stream> below) : below_(std::move(below)) {}
  weft::IoResult read(std::span<char> buffer) override {
    const weft::IoResult result = below_->read(buffer);
    for (char& c : buffer.first(result.n)) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    return result;
  }
  weft::IoResult writev(std::span<const std::string_view> parts) override { return below_->writev(parts); }
  std::error_code close() override { return below_->close(); }
  void set_read_deadline(TimePoint deadline) override { below_->set_read_deadline(deadline); }
  void set_write_deadline(TimePoint deadline) override { below_->set_write_deadline(deadline); }
  std::string_view network() const override { return "upper"; }
  std::string protocol() const { return "upper/1"; }

 private:
  const std::shared_ptr<weft::net::Stream> below_;
};

class UpperAcceptor final : public weft::net::Acceptor {
 public:
  explicit UpperAcceptor(std::shared_ptr<weft::net::Acceptor> below) : below_(std::move(below)) {}
  weft::Result<Conn> accept() override {
    weft::Result<Conn> conn = below_->accept();
    if (!conn) return conn;
    return Conn(std::make_shared<Upper>(conn->stream()));
  }
  std::error_code close() override { return below_->close(); }
  std::error_code drain() override { return below_->drain(); }
  void set_deadline(TimePoint deadline) override { below_->set_deadline(deadline); }
  weft::net::Address address() const override { return below_->address(); }

 private:
  const std::shared_ptr<weft::net::Acceptor> below_;
};

WEFT_MATRIX_TEST(Stream, IsWrappedAndAsked) {
  auto tcp = weft::net::listen("tcp", "127.0.0.1:0").value();
  weft::net::Listener listener(std::make_shared<UpperAcceptor>(tcp.acceptor()));
  EXPECT_EQ(listener.address(), tcp.address());
  EXPECT_EQ(listener.network(), "");
  Conn client = weft::net::dial(weft::background(), "tcp", to_string(tcp.address())).value();
  Conn server = listener.accept().value();
  const auto upper = std::dynamic_pointer_cast<Upper>(server.stream());
  ASSERT_NE(upper, nullptr);
  EXPECT_EQ(upper->protocol(), "upper/1");
  EXPECT_EQ(std::dynamic_pointer_cast<Upper>(client.stream()), nullptr);
  ASSERT_FALSE(client.write("abc").ec);
  char text[3];
  EXPECT_EQ(server.read_full(text).n, 3u);
  EXPECT_EQ(std::string(text, 3), "ABC");
  server.set_read_deadline(in(-1s));
  EXPECT_EQ(server.error("read", server.read(text).ec).message(), "read upper: i/o timeout");

  listener.set_deadline(in(-1s));
  const auto none = listener.accept();
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error(), Condition::deadline_exceeded);
  EXPECT_FALSE(listener.close());
}

// An acceptor that implements only what it must.
class MemoryAcceptor final : public weft::net::Acceptor {
 public:
  weft::Result<Conn> accept() override { return Conn(std::make_shared<Memory>()); }
  std::error_code close() override {
    closed = true;
    return {};
  }
  void set_deadline(TimePoint) override {}

  bool closed = false;
};

TEST(Acceptor, HasDefaults) {
  const auto acceptor = std::make_shared<MemoryAcceptor>();
  weft::net::Listener listener(acceptor);
  EXPECT_TRUE(listener.address().is_none());
  EXPECT_EQ(listener.network(), "");
  EXPECT_TRUE(listener.accept().has_value());
  EXPECT_FALSE(listener.drain());
  EXPECT_TRUE(acceptor->closed);
}

WEFT_MATRIX_TEST(Stream, NetworkIsTheOneThatWasAskedFor) {
  auto listener = weft::net::listen(std::string("tcp4"), "127.0.0.1:0").value();
  EXPECT_EQ(listener.network(), "tcp4");
  Conn client = weft::net::dial(weft::background(), "tcp", to_string(listener.address())).value();
  Conn server = listener.accept().value();
  EXPECT_EQ(client.network(), "tcp");
  EXPECT_EQ(server.network(), "tcp4");
  ASSERT_FALSE(listener.close());
  EXPECT_EQ(listener.accept().error().message(),
            "accept tcp4 " + to_string(listener.address()) + ": use of closed network connection");
}

// --- send_file on TCP ------------------------------------------------------------------------------------------------

// More than the socket's buffers hold, so that the sender waits; and a part from the middle.
WEFT_MATRIX_TEST(SendFile, SendsWholeFilesAndParts) {
  const std::string content = pattern(9'000'000);
  const File file(content);
  Pair p = connect_pair();
  weft::WaitGroup wg;
  wg.go([&] {
    ASSERT_EQ(p.client.write("head ").n, 5u);
    const auto [n, ec] = p.client.send_file(file.fd(), 0, content.size());
    EXPECT_EQ(n, content.size());
    EXPECT_FALSE(ec) << ec.message();
    EXPECT_EQ(p.client.send_file(file.fd(), 1000, 50).n, 50u);
    EXPECT_EQ(p.client.send_file(file.fd(), 0, 0).n, 0u);
    EXPECT_FALSE(p.client.close());
  });
  weft::sleep(5ms);  // the sender fills the buffers
  EXPECT_TRUE(read_all(p.server) == "head " + content + content.substr(1000, 50));
  wg.wait();
  EXPECT_EQ(::lseek(file.fd(), 0, SEEK_CUR), static_cast<off_t>(content.size()));  // where the test's write left it
}

WEFT_MATRIX_TEST(SendFile, EndOfFileAndErrorsSayHowMuchWentOut) {
  const File file("0123456789");
  Pair p = connect_pair();
  weft::IoResult result = p.client.send_file(file.fd(), 4, 100);
  EXPECT_EQ(result.n, 6u);
  EXPECT_EQ(result.ec, Condition::eof);
  EXPECT_EQ(p.client.send_file(file.fd(), 1000, 1).ec, Condition::eof);
  EXPECT_EQ(p.client.send_file(-1, 0, 1).ec, std::errc::bad_file_descriptor);

  // What the kernel can't copy from is read and written: a pipe has no offsets, which pread(2) says.
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  EXPECT_EQ(p.client.send_file(ends[0], 0, 1).ec, std::errc::invalid_seek);
  ::close(ends[0]);
  ::close(ends[1]);
  // Files of /proc have no size that holds.
  const int status = ::open("/proc/self/status", O_RDONLY | O_CLOEXEC);
  result = p.client.send_file(status, 0, 5);
  EXPECT_EQ(result.n, 5u) << result.ec.message();
  ::close(status);

  ASSERT_FALSE(p.client.close());
  EXPECT_EQ(read_all(p.server), "456789Name:");
  EXPECT_EQ(p.client.send_file(file.fd(), 0, 1).ec, Condition::closed);
}

WEFT_MATRIX_TEST(SendFile, DeadlineAndCloseWakeIt) {
  const std::string content = pattern(30'000'000);
  const File file(content);
  Pair p = connect_pair();
  p.client.set_write_deadline(in(30ms));
  const auto [n, ec] = p.client.send_file(file.fd(), 0, content.size());
  EXPECT_EQ(ec, Condition::deadline_exceeded);
  EXPECT_LT(n, content.size());
  p.client.set_write_deadline(weft::kNoDeadline);
  weft::WaitGroup wg;
  wg.go([&] { EXPECT_EQ(p.client.send_file(file.fd(), 0, content.size()).ec, Condition::closed); });
  weft::sleep(10ms);
  EXPECT_FALSE(p.client.close());
  wg.wait();
}

// A file and the writes of other goroutines come out one after the other.
WEFT_MATRIX_TEST(SendFile, IsOneWrite) {
  const std::string content(3'000'000, 'f');
  const File file(content);
  Pair p = connect_pair();
  weft::WaitGroup wg;
  wg.go([&] {
    weft::WaitGroup writers;
    writers.go([&] { EXPECT_EQ(p.client.send_file(file.fd(), 0, content.size()).n, content.size()); });
    for (int i = 0; i < 4; ++i) writers.go([&] { EXPECT_EQ(p.client.write("wwww").n, 4u); });
    writers.wait();
    EXPECT_FALSE(p.client.close());
  });
  weft::sleep(5ms);
  const std::string got = read_all(p.server);
  wg.wait();
  ASSERT_EQ(got.size(), content.size() + 16);
  const std::size_t begin = got.find('f');
  EXPECT_EQ(got.find_first_not_of('f', begin),
            begin + content.size() == got.size() ? std::string::npos : begin + content.size());
}

// The kernel raises SIGPIPE for sendfile(2) on a broken connection; nobody gets it, and nobody else's is lost.
WEFT_MATRIX_TEST(SendFile, BrokenConnectionRaisesNoSignal) {
  ASSERT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  const File file(pattern(1000));
  Pair p = connect_pair();
  ASSERT_FALSE(p.server.close());
  std::error_code ec;
  for (const auto end = in(30s); !ec && std::chrono::steady_clock::now() < end;) {
    ec = p.client.send_file(file.fd(), 0, 1000).ec;
    weft::sleep(1ms);
  }
  for (int i = 0; i < 3; ++i) ec = p.client.send_file(file.fd(), 0, 1000).ec;
  EXPECT_EQ(ec, std::errc::broken_pipe) << ec.message();
}

// One call of sendfile(2) sends many times. The first bytes make the peer reset the connection, and a later send of the
// same call finds it broken.
WEFT_MATRIX_TEST(SendFile, ConnectionThatBreaksMeanwhileRaisesNoSignal) {
  ASSERT_EQ(std::signal(SIGPIPE, SIG_DFL), SIG_DFL);
  const File file(pattern(8 << 20));
  for (int i = 0; i < 5; ++i) {
    Pair p = connect_pair();
    ASSERT_FALSE(p.server.close());
    weft::sleep(2ms);
    EXPECT_TRUE(p.client.send_file(file.fd(), 0, 8 << 20).ec);
    const std::error_code ec = p.client.send_file(file.fd(), 0, 8 << 20).ec;
    EXPECT_TRUE(ec == std::errc::broken_pipe || ec == std::errc::connection_reset) << ec.message();
  }
  sigset_t pending;
  ASSERT_EQ(::sigpending(&pending), 0);
  EXPECT_EQ(::sigismember(&pending, SIGPIPE), 0);
}

// A peer on a thread of its own that takes everything at once, so that the sender never waits for room.
class FastReader {
 public:
  FastReader() {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* const name = reinterpret_cast<sockaddr*>(&address);
    socklen_t size = sizeof(address);
    EXPECT_EQ(::bind(listener_, name, size), 0);
    EXPECT_EQ(::listen(listener_, 1), 0);
    EXPECT_EQ(::getsockname(listener_, name, &size), 0);
    conn = weft::net::dial(weft::background(), "tcp", "127.0.0.1:" + std::to_string(ntohs(address.sin_port))).value();
    thread_ = std::thread([this] {
      const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
      while (::recv(fd, nullptr, 4 << 20, MSG_TRUNC) > 0) {
      }
      ::close(fd);
    });
  }
  FastReader(const FastReader&) = delete;
  FastReader& operator=(const FastReader&) = delete;
  ~FastReader() {
    static_cast<void>(conn.close());
    thread_.join();
    ::close(listener_);
  }

  Conn conn;

 private:
  const int listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  std::thread thread_;
};

// While bytes flow, the deadline and close() are noticed, too. The file is slower than the reader.
WEFT_MATRIX_TEST(SendFile, FastReaderHidesNeitherDeadlineNorClose) {
  constexpr std::size_t kSize = std::size_t{1} << 30;
  const int file = ::open("/dev/urandom", O_RDONLY | O_CLOEXEC);
  ASSERT_GE(file, 0);
  {
    FastReader reader;
    reader.conn.set_write_deadline(in(10ms));
    const auto [n, ec] = reader.conn.send_file(file, 0, kSize);
    EXPECT_EQ(ec, Condition::deadline_exceeded);
    EXPECT_LT(n, kSize / 4);
  }
  {
    FastReader reader;
    weft::WaitGroup wg;
    wg.go([&] {
      const auto [n, ec] = reader.conn.send_file(file, 0, kSize);
      EXPECT_EQ(ec, Condition::closed);
      EXPECT_LT(n, kSize / 4);
    });
    weft::sleep(10ms);
    EXPECT_FALSE(reader.conn.close());
    wg.wait();
  }
  ::close(file);
}

}  // namespace
