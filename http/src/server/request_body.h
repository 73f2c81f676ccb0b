// RequestBody: the content of a request, out of the connection's buffer and then out of the connection.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <system_error>

#include "http/src/parser/chunked.h"
#include "http/src/server/disconnect_watch.h"
#include "http/src/server/input_buffer.h"
#include "http/src/server/output_buffer.h"
#include "weft/http/request.h"

namespace weft::http::detail {

// What of an unread body is read, so that the connection can be used again.
inline constexpr std::uint64_t kMaxDrain = 256 * 1024;

// State: left_ bytes to come, or decoder_'s for a chunked one; finished_ once the end was seen; error_ once it can't be
// any more. Thread safety: none. Before it waits for the client, it sends the responses that are whole, so that
// pipelined clients which wait for them go on.
class RequestBody final : public Body {
 public:
  RequestBody(InputBuffer& in, OutputBuffer& out, DisconnectWatch& watch) : in_(in), out_(out), watch_(watch) {}

  void attach(net::Conn& conn) noexcept { conn_ = &conn; }

  // `max_bytes` 0: no limit. Declared lengths are the caller's to check.
  void begin(const RequestHead& head, std::uint64_t max_bytes);

  IoResult read(std::span<char> buffer) override;

  // The response begins: a client that waits for "100 Continue" isn't sent one any more.
  void forbid_continue() noexcept;

  bool finished() const noexcept { return finished_; }

  // Reads what the handler left, up to kMaxDrain bytes; later reads by the handler fail. True: the next request can
  // follow.
  bool drain();

 private:
  enum class Continue : std::uint8_t { unasked, wanted, refused };

  IoResult read_sized(std::span<char> buffer);
  IoResult read_chunked(std::span<char> buffer);
  IoResult take_buffered(std::span<char> buffer);
  std::error_code fill();
  void finish();
  std::error_code receive_error(std::error_code ec);
  IoResult fail(std::error_code ec);

  InputBuffer& in_;
  OutputBuffer& out_;
  DisconnectWatch& watch_;  // may read once the body has ended
  net::Conn* conn_ = nullptr;
  bool chunked_ = false;
  bool finished_ = true;
  bool closed_ = false;
  Continue continue_ = Continue::unasked;
  std::uint64_t left_ = 0;
  std::uint64_t received_ = 0;
  std::uint64_t max_bytes_ = 0;
  std::error_code error_;
  ChunkedDecoder decoder_;
};

}  // namespace weft::http::detail
