// How an address that can't be read is reported.
#pragma once

#include <charconv>
#include <cstdint>
#include <string>
#include <string_view>

#include "weft/error.h"

namespace weft::net {

// Returns the error "address foo: missing port in address".
inline Unexpected address_error(std::string_view address, std::string_view reason) {
  return Unexpected(Error::text("address " + std::string(address) + ": " + std::string(reason)));
}

// Reads a port. Returns false when the text is empty or is no number of 16 bits.
inline bool parse_port(std::string_view text, std::uint16_t& port) noexcept {
  const char* const end = text.data() + text.size();
  const auto [p, ec] = std::from_chars(text.data(), end, port);
  return ec == std::errc() && p == end;
}

}  // namespace weft::net
