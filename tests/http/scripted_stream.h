// ScriptedStream: a connection whose input is written down and whose output is kept, for tests without a network.
#pragma once

#include <algorithm>
#include <cstddef>
#include <limits>
#include <string>
#include <string_view>
#include <system_error>
#include <vector>

#include "weft/error.h"
#include "weft/net/conn.h"

namespace weft::http::test {

// Each read gets at most one piece of the script, and the end of the stream after the last piece. Never blocks.
class ScriptedStream final : public net::Stream {
 public:
  explicit ScriptedStream(std::vector<std::string> pieces) : pieces_(std::move(pieces)) {}

  IoResult read(std::span<char> buffer) override {
    skip_empty();
    if (next_ == pieces_.size()) return {0, make_error_code(Errc::eof)};
    std::string& piece = pieces_[next_];
    const std::size_t n = piece.copy(buffer.data(), buffer.size());
    piece.erase(0, n);
    return {n, {}};
  }
  IoResult writev(std::span<const std::string_view> parts) override {
    std::string all;
    for (const std::string_view part : parts) all += part;
    if (writes.size() >= fail_writes_after) return {0, std::make_error_code(std::errc::broken_pipe)};
    writes.push_back(all);
    return {all.size(), {}};
  }
  std::error_code wait_readable() override { return {}; }
  std::error_code close() override {
    closed = true;
    return {};
  }
  std::error_code close_read() override { return {}; }
  std::error_code close_write() override {
    write_closed = true;
    return {};
  }
  void set_read_deadline(TimePoint deadline) override { read_deadlines.push_back(deadline); }
  void set_write_deadline(TimePoint deadline) override { write_deadline = deadline; }
  net::Address local_address() const override { return {net::IpAddress::loopback_v4(), 80}; }
  net::Address remote_address() const override { return remote; }

  std::string output() const {
    std::string all;
    for (const std::string& write : writes) all += write;
    return all;
  }

  net::Address remote{net::IpAddress::loopback_v4(), 4711};
  std::vector<std::string> writes;
  std::size_t fail_writes_after = std::numeric_limits<std::size_t>::max();  // so many writes succeed
  bool closed = false;
  bool write_closed = false;
  std::vector<TimePoint> read_deadlines;  // all that were set, in their order
  TimePoint write_deadline = kNoDeadline;

 private:
  void skip_empty() {
    while (next_ < pieces_.size() && pieces_[next_].empty()) ++next_;
  }

  std::vector<std::string> pieces_;
  std::size_t next_ = 0;
};

}  // namespace weft::http::test
