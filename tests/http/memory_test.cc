// The server when memory runs out.
#include <atomic>
#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include <gtest/gtest.h>

#include "http/running_server.h"
#include "support/failing_new.h"
#include "support/matrix.h"
#include "weft/go.h"
#include "weft/http/errc.h"
#include "weft/net/listener.h"

namespace weft::http {
namespace {

using namespace test;

// After each accept its goroutine gets one allocation more than after the last one, until the next call: none at first.
class StarvingAcceptor final : public net::Acceptor {
 public:
  static constexpr int kRounds = 8;

  explicit StarvingAcceptor(net::Listener below) : below_(std::move(below)) {}

  Result<net::Conn> accept() override {
    weft::testing::allocates_no_more.store(0, std::memory_order_relaxed);
    Result<net::Conn> conn = below_.accept();
    if (conn && round_ < kRounds) {
      weft::testing::allocations_before.store(round_++, std::memory_order_relaxed);
      weft::testing::allocates_no_more.store(this_goroutine::id(), std::memory_order_relaxed);
    }
    return conn;
  }
  std::error_code close() override { return below_.close(); }
  std::error_code drain() override { return below_.drain(); }
  void set_deadline(TimePoint deadline) override { below_.set_deadline(deadline); }

 private:
  const net::Listener below_;
  int round_ = 0;
};

// A connection for which there is no memory ends alone, and is logged.
WEFT_MATRIX_TEST(Memory, ThatIsMissingCostsOneConnection) {
  auto listener = net::listen("tcp", "127.0.0.1:0");
  ASSERT_TRUE(listener.has_value());
  const std::string address = net::to_string(listener->address());
  const auto lines = std::make_shared<std::atomic<int>>(0);
  const Server server({.handler = echo_path,
                       .log = [lines](LogLevel, std::string_view) { lines->fetch_add(1, std::memory_order_relaxed); }});
  const auto result = make_chan<Error>(1);
  go([server, listener = net::Listener(std::make_shared<StarvingAcceptor>(*listener)), result] {
    result.send(server.serve(listener));
  });
  int ended = 0;
  for (int round = 0; round <= StarvingAcceptor::kRounds; ++round) {
    Client client(address);
    static_cast<void>(client.conn.write("GET /x HTTP/1.1\r\nHost: h\r\n\r\n"));
    const bool answered = body_of(client.response()) == "/x";
    EXPECT_TRUE(answered || client.error != Condition::deadline_exceeded);
    EXPECT_FALSE(answered && round < 2) << "the connection and its place in the list take memory";
    ended += answered ? 0 : 1;
    EXPECT_TRUE(answered || round < StarvingAcceptor::kRounds);
  }
  EXPECT_EQ(lines->load(std::memory_order_relaxed), ended);
  EXPECT_FALSE(server.shutdown(background()));
  EXPECT_EQ(result.recv()->code(), Errc::server_closed);
  EXPECT_EQ(server.stats().open, 0U);
}

}  // namespace
}  // namespace weft::http
