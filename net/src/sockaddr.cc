#include "net/src/sockaddr.h"

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <string>

namespace weft::net {
namespace {

// Where the text of a Unix address begins.
constexpr socklen_t kPathOffset = offsetof(sockaddr_un, sun_path);

// Leaves room for the zero after a path and for the one before an abstract name.
constexpr std::size_t kLongestText = sizeof(sockaddr_un::sun_path) - 1;

}  // namespace

SocketAddress::SocketAddress(const Address& address) noexcept : storage_{} {
  if (address.is_ip()) {
    const IpAddress& ip = address.ip();
    if (ip.is_v4()) {
      storage_.v4.sin_family = AF_INET;
      storage_.v4.sin_port = htons(address.port());
      std::memcpy(&storage_.v4.sin_addr, ip.bytes().data(), sizeof(in_addr));
      length_ = sizeof(sockaddr_in);
    } else {
      storage_.v6 = {};
      storage_.v6.sin6_family = AF_INET6;
      storage_.v6.sin6_port = htons(address.port());
      std::memcpy(&storage_.v6.sin6_addr, ip.bytes().data(), sizeof(in6_addr));
      storage_.v6.sin6_scope_id = ip.scope();
      length_ = sizeof(sockaddr_in6);
    }
    return;
  }
  if (!address.is_unix()) return;
  const bool abstract = address.kind() == Address::Kind::abstract;
  const std::string_view text = abstract ? address.abstract_name() : address.path();
  // An empty path, or one with a zero in it, would name another socket than it says.
  const bool fits = text.size() <= kLongestText;
  const bool path_is_whole = !text.empty() && text.find('\0') == std::string_view::npos;
  if (!fits || (!abstract && !path_is_whole)) return;
  storage_.local = {};
  storage_.local.sun_family = AF_UNIX;
  std::memcpy(storage_.local.sun_path + (abstract ? 1 : 0), text.data(), text.size());
  length_ = static_cast<socklen_t>(kPathOffset + text.size() + 1);
}

void SocketAddress::resize(socklen_t length) noexcept { length_ = std::min(length, capacity()); }

Address SocketAddress::address() const {
  if (length_ < sizeof(sa_family_t)) return {};
  switch (storage_.any.sa_family) {
    case AF_INET: {
      if (length_ < sizeof(sockaddr_in)) return {};
      IpAddress::V4Bytes bytes;
      std::memcpy(bytes.data(), &storage_.v4.sin_addr, bytes.size());
      return {IpAddress(bytes), ntohs(storage_.v4.sin_port)};
    }
    case AF_INET6: {
      if (length_ < sizeof(sockaddr_in6)) return {};
      IpAddress::V6Bytes bytes;
      std::memcpy(bytes.data(), &storage_.v6.sin6_addr, bytes.size());
      return {IpAddress(bytes, storage_.v6.sin6_scope_id).unmapped(), ntohs(storage_.v6.sin6_port)};
    }
    case AF_UNIX: {
      if (length_ <= kPathOffset) return {};
      const char* const text = storage_.local.sun_path;
      const std::size_t size = std::min<std::size_t>(length_ - kPathOffset, sizeof(sockaddr_un::sun_path));
      if (text[0] == '\0') return Address::unix_abstract(std::string(text + 1, size - 1));
      return Address::unix_path(std::string(text, ::strnlen(text, size)));
    }
    default:
      return {};
  }
}

}  // namespace weft::net
