// The two ends of a TCP connection, for tests.
#pragma once

#include <gtest/gtest.h>

#include <cstddef>
#include <vector>

#include "weft/context.h"
#include "weft/net/conn.h"
#include "weft/net/dial.h"
#include "weft/net/listener.h"

namespace weft::testing {

struct Pair {
  net::Conn client;
  net::Conn server;
};

// Makes connections on loopback. For goroutines only.
inline std::vector<Pair> connect_pairs(int n) {
  auto listener = net::listen("tcp", "127.0.0.1:0").value();
  std::vector<Pair> pairs(static_cast<std::size_t>(n));
  for (Pair& pair : pairs) {
    pair.client = net::dial(background(), "tcp", listener.address()).value();  // the backlog takes it
    pair.server = listener.accept().value();
  }
  EXPECT_FALSE(listener.close());
  return pairs;
}

inline Pair connect_pair() { return connect_pairs(1).front(); }

}  // namespace weft::testing
