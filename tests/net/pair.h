// The two ends of a TCP connection, for tests.
#pragma once

#include <gtest/gtest.h>

#include "weft/context.h"
#include "weft/net/conn.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"
#include "weft/wait_group.h"

namespace weft::testing {

struct Pair {
  net::Conn client;
  net::Conn server;
};

// Makes a connection on loopback. For goroutines only.
inline Pair connect_pair() {
  auto listener = net::listen("tcp", "127.0.0.1:0").value();
  Pair pair;
  WaitGroup wg;
  wg.go([&] { pair.server = listener.accept().value(); });
  pair.client = net::dial(background(), "tcp", net::to_string(listener.address())).value();
  wg.wait();
  EXPECT_FALSE(listener.close());
  return pair;
}

}  // namespace weft::testing
