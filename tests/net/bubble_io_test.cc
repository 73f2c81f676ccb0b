// Real connections in a bubble: I/O takes real time and holds the bubble's clock.
#include <chrono>
#include <string>
#include <utility>

#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/context.h"
#include "weft/go.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/testing/bubble.h"
#include "weft/time.h"

namespace {

using namespace std::chrono_literals;
using weft::Condition;
using weft::testing::bubble;
using weft::testing::kBubbleStart;

struct Pair {
  weft::net::Conn client, server;
};

Pair connect_pair() {
  auto listener = weft::net::listen("tcp", "127.0.0.1:0").value();
  Pair pair;
  pair.client = weft::net::dial(weft::background(), "tcp", "127.0.0.1:" + std::to_string(listener.address().port()),
                                {.timeout = 1h})
                    .value();
  pair.server = listener.accept().value();
  listener.close();
  return pair;
}

WEFT_MATRIX_TEST(BubbleIo, HoldsTheClock) {
  bubble([] {
    Pair pair = connect_pair();
    const auto done = weft::make_chan<bool>();
    weft::go([&] {
      char byte = 0;
      for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(pair.server.read({&byte, 1}).n, 1u);
        EXPECT_EQ(weft::now(), kBubbleStart);
        EXPECT_EQ(pair.server.write({&byte, 1}).n, 1u);
      }
      done.send(true);
    });
    weft::go([&] {
      char byte = 'x';
      for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(pair.client.write({&byte, 1}).n, 1u);
        EXPECT_EQ(pair.client.read({&byte, 1}).n, 1u);
      }
      done.send(true);
    });
    weft::sleep(1ns);
    done.recv();
    done.recv();
    pair.client.close();
    pair.server.close();
  });
}

// Deadlines are instants of the bubble's clock, whatever the real time is.
WEFT_MATRIX_TEST(BubbleIo, Deadlines) {
  bubble([] {
    Pair pair = connect_pair();
    char byte = 'x';
    pair.client.set_deadline(weft::now() + 1h);
    EXPECT_EQ(pair.client.write({&byte, 1}).n, 1u);
    EXPECT_EQ(pair.server.read({&byte, 1}).n, 1u);
    EXPECT_EQ(pair.server.write({&byte, 1}).n, 1u);
    EXPECT_EQ(pair.client.read({&byte, 1}).n, 1u);

    weft::sleep(1h);
    weft::testing::wait();
    EXPECT_EQ(pair.client.read({&byte, 1}).ec, Condition::deadline_exceeded);
    pair.client.set_deadline(weft::now());
    EXPECT_EQ(pair.client.write({&byte, 1}).ec, Condition::deadline_exceeded);

    // A later deadline leaves the timer where it is. The timer finds out when it fires.
    for (const auto step : {1min, 2min, 3min}) pair.client.set_deadline(weft::now() + step);
    weft::sleep(2min);
    EXPECT_EQ(pair.client.write({&byte, 1}).n, 1u);
    weft::sleep(1min);
    weft::testing::wait();
    EXPECT_EQ(pair.client.write({&byte, 1}).ec, Condition::deadline_exceeded);
    pair.client.close();
    pair.server.close();
  });
}

WEFT_MATRIX_TEST(BubbleIo, ContextPassesBeforeADial) {
  bubble([] {
    auto [ctx, cancel] = weft::with_timeout(weft::background(), 1h);
    weft::sleep(2h);
    EXPECT_EQ(weft::net::dial(ctx, "tcp", "127.0.0.1:1").error().code(), Condition::deadline_exceeded);
  });
}

}  // namespace
