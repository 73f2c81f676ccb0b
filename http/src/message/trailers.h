// Which fields may stand in a trailer section (RFC 9110 section 6.5.1).
#pragma once

#include <string_view>

namespace weft::http::detail {

// False for a name that is no token, and for fields that must be known before the content: those that frame the
// message, route it, authenticate, control the request or the response, or say how the content is processed, which is
// every Content- field but Content-Digest. Go's list is a part of this one, which adds the cookies, Upgrade, and what
// controls a response (Date, Location and their like).
bool may_be_trailer(std::string_view name) noexcept;

}  // namespace weft::http::detail
