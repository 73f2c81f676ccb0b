// Version: the version of HTTP that a message speaks (RFC 9110 section 2.5).
#pragma once

#include <compare>

namespace weft::http {

// A value. Versions are ordered: `request.version() >= Version{1, 1}`.
struct Version {
  int major = 1;
  int minor = 1;

  friend constexpr auto operator<=>(const Version&, const Version&) noexcept = default;
};

}  // namespace weft::http
