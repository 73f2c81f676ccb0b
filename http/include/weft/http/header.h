// Header: the fields of a request or a response (RFC 9110 section 5, Go's http.Header).
//
// Names are compared without case and sent as they were given. Fields keep their order; a name may occur several times.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <string_view>
#include <vector>

#include <weft/http/detail/text_arena.h>

namespace weft::http {

namespace detail {
struct HeaderAccess;
}

// Thread safety: none; one goroutine at a time.
// Lifetime: what set() and add() are given is copied. Views that come out live until the header is cleared, assigned or
// destroyed. The header of a server's request looks into the connection's buffer: its views live until the handler
// returns, and a copy of it (the copy constructor copies all text) lives as long as the copy. Nothing here blocks.
class Header {
 public:
  struct Field {
    std::string_view name;
    std::string_view value;
  };

  Header() = default;
  Header(std::initializer_list<Field> fields);
  Header(const Header& other);
  Header& operator=(const Header& other);
  Header(Header&& other) noexcept = default;
  Header& operator=(Header&& other) noexcept = default;
  ~Header() = default;

  // The first value of `name`, empty when there is none (or when it is empty: has() tells).
  std::string_view get(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
  // Every value of `name`, in order.
  std::vector<std::string_view> values(std::string_view name) const;

  // Replaces every value of `name` by one.
  void set(std::string_view name, std::string_view value);
  void add(std::string_view name, std::string_view value);
  // Returns how many fields went.
  std::size_t erase(std::string_view name) noexcept;
  void clear() noexcept;

  const Field* begin() const noexcept { return fields_.data(); }
  const Field* end() const noexcept { return fields_.data() + fields_.size(); }
  std::size_t size() const noexcept { return fields_.size(); }
  bool empty() const noexcept { return fields_.empty(); }

 private:
  friend struct detail::HeaderAccess;

  Field* find(std::string_view name) noexcept;

  std::vector<Field> fields_;
  detail::TextArena text_;
};

// True when one of the comma-separated elements of `value` is `token`, without regard to case (RFC 9110 section 5.6.1).
bool has_token(std::string_view value, std::string_view token) noexcept;

}  // namespace weft::http
