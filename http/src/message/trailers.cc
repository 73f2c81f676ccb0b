#include "http/src/message/trailers.h"

#include <algorithm>
#include <iterator>

#include "http/src/message/chars.h"

namespace weft::http::detail {
namespace {

constexpr std::string_view kForbidden[] = {
    "Age",
    "Authorization",
    "Cache-Control",
    "Connection",
    "Cookie",
    "Date",
    "Expect",
    "Expires",
    "Host",
    "Keep-Alive",
    "Location",
    "Max-Forwards",
    "Pragma",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Proxy-Connection",
    "Range",
    "Realm",
    "Retry-After",
    "Set-Cookie",
    "TE",
    "Trailer",
    "Transfer-Encoding",
    "Upgrade",
    "Vary",
    "WWW-Authenticate",
};

}  // namespace

bool may_be_trailer(std::string_view name) noexcept {
  if (!is_token(name)) return false;
  // If-Match and the other conditions.
  if (iequals(name.substr(0, 3), "If-")) return false;
  // Content-Type and the others, but for the digest, which is known when the content has gone by (RFC 9530 section 2).
  if (iequals(name.substr(0, 8), "Content-")) return iequals(name, "Content-Digest");
  return std::none_of(std::begin(kForbidden), std::end(kForbidden),
                      [name](std::string_view forbidden) { return iequals(name, forbidden); });
}

}  // namespace weft::http::detail
