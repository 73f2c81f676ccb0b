// Errors as values: Error, Result<T>, IoResult and the conditions callers compare to.
//
// Thread safety: distinct objects may be used from any thread; a shared one needs a lock.
// Nothing here blocks.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <system_error>
#include <type_traits>

#include <tl/expected.hpp>

namespace weft {

// Codes of weft's own category. Their texts are Go's.
enum class Errc {
  eof = 1,                    // "EOF": the peer finished sending
  closed,                     // "use of closed network connection"
  timeout,                    // "i/o timeout": a connection's deadline passed
  canceled,                   // "context canceled"
  context_deadline_exceeded,  // "context deadline exceeded"
};

// What a caller asks of an error, whichever layer made the error:
// `if (result.ec == weft::Condition::deadline_exceeded)`.
enum class Condition {
  eof = 1,
  closed,             // the object was closed under the operation, by this side
  deadline_exceeded,  // a connection's or a context's deadline
  canceled,           // a context was cancelled
};

const std::error_category& error_category() noexcept;
const std::error_category& condition_category() noexcept;
std::error_code make_error_code(Errc code) noexcept;
std::error_condition make_error_condition(Condition condition) noexcept;

// An error code with what was being done and to whom: "dial tcp 127.0.0.1:1: connect: connection refused".
// A default-constructed Error holds none and converts to false. Copies are cheap and share the text.
class [[nodiscard]] Error {
 public:
  Error() noexcept = default;
  Error(std::error_code code) noexcept : code_(code) {}        // NOLINT(google-explicit-constructor)
  Error(Errc code) noexcept : code_(make_error_code(code)) {}  // NOLINT(google-explicit-constructor)
  // `context` is put before the code's own text, with ": " between them.
  Error(std::error_code code, std::string context);
  // Returns an error that is nothing but its text, in the category of generic failures.
  static Error text(std::string message);

  explicit operator bool() const noexcept { return static_cast<bool>(code_); }
  std::error_code code() const noexcept { return code_; }
  std::string message() const;
  // Returns the same error with one more word of context in front.
  Error wrap(std::string_view context) const;

  // Returns true when the error is that condition, whatever context was wrapped around it.
  friend bool operator==(const Error& error, Condition condition) noexcept {
    return error.code_ == make_error_condition(condition);
  }
  friend bool operator==(const Error& error, std::errc condition) noexcept { return error.code_ == condition; }
  friend bool operator==(const Error& error, Errc code) noexcept { return error.code_ == make_error_code(code); }

 private:
  std::error_code code_;
  std::shared_ptr<const std::string> text_;  // the whole message; null when the code's own text is all
};

// A value or an Error; true when it holds the value.
template <typename T>
using Result = tl::expected<T, Error>;

using Unexpected = tl::unexpected<Error>;

// How much a transfer moved, and why it stopped: n bytes are done, also when ec is set.
struct IoResult {
  std::size_t n = 0;
  std::error_code ec;
};

}  // namespace weft

template <>
struct std::is_error_code_enum<weft::Errc> : std::true_type {};
template <>
struct std::is_error_condition_enum<weft::Condition> : std::true_type {};
