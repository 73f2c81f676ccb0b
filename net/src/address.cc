#include "weft/net/address.h"

#include <arpa/inet.h>
#include <net/if.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <functional>
#include <span>
#include <utility>

#include "net/src/address_error.h"

namespace weft::net {
namespace {

constexpr IpAddress::V6Bytes kV4MappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
constexpr std::size_t kV4MappedPrefixSize = 12;

// Room for the longest text of an IPv6 address without scope, and a zero, for inet_pton().
using IpText = std::array<char, INET6_ADDRSTRLEN>;

// Reads the scope of an address: the number of an interface or its name. Returns false when there is no such interface.
bool parse_scope(std::string_view text, std::uint32_t& scope) {
  const char* const end = text.data() + text.size();
  const auto [p, ec] = std::from_chars(text.data(), end, scope);
  if (ec == std::errc() && p == end) return true;
  if (text.empty() || text.size() >= IF_NAMESIZE || text.find('\0') != std::string_view::npos) return false;
  scope = ::if_nametoindex(std::string(text).c_str());
  return scope != 0;
}

// Returns false when `text` is no IP address.
bool parse_ip(std::string_view text, IpAddress& ip) {
  const std::size_t percent = text.find('%');
  const std::string_view digits = text.substr(0, percent);
  IpText copy{};
  if (digits.size() >= copy.size() || digits.find('\0') != std::string_view::npos) return false;
  digits.copy(copy.data(), digits.size());
  if (digits.find(':') == std::string_view::npos) {
    IpAddress::V4Bytes bytes;
    if (percent != std::string_view::npos || ::inet_pton(AF_INET, copy.data(), bytes.data()) != 1) return false;
    ip = IpAddress(bytes);
    return true;
  }
  IpAddress::V6Bytes bytes;
  if (::inet_pton(AF_INET6, copy.data(), bytes.data()) != 1) return false;
  std::uint32_t scope = 0;
  if (percent != std::string_view::npos && !parse_scope(text.substr(percent + 1), scope)) return false;
  ip = IpAddress(bytes, scope);
  return true;
}

void append_number(std::string& text, unsigned number, int base) {
  std::array<char, 8> digits;
  text.append(digits.data(), std::to_chars(digits.data(), digits.data() + digits.size(), number, base).ptr);
}

void append_v4(std::string& text, std::span<const std::uint8_t> bytes) {
  for (std::size_t i = 0; i < bytes.size(); ++i) {
    if (i > 0) text += '.';
    append_number(text, bytes[i], 10);
  }
}

// RFC 5952, section 4: lower-case digits, no leading zeros, and "::" for the longest run of groups that are zero. Of
// runs that are equally long it is the first one, and a single group is no run.
void append_v6(std::string& text, std::span<const std::uint8_t> bytes) {
  constexpr std::size_t kGroups = 8;
  const auto group = [&](std::size_t i) { return unsigned{bytes[2 * i]} << 8 | bytes[2 * i + 1]; };
  std::size_t run_begin = kGroups;
  std::size_t run_size = 1;
  for (std::size_t begin = 0; begin < kGroups; ++begin) {
    std::size_t end = begin;
    while (end < kGroups && group(end) == 0) ++end;
    if (end - begin > run_size) {
      run_begin = begin;
      run_size = end - begin;
    }
  }
  for (std::size_t i = 0; i < kGroups; ++i) {
    if (i == run_begin) {
      text += "::";
      i += run_size - 1;
      continue;
    }
    if (!text.empty() && text.back() != ':') text += ':';
    append_number(text, group(i), 16);
  }
}

std::size_t mix(std::size_t hash, std::size_t value) noexcept {
  return hash ^ (value + 0x9e3779b97f4a7c15 + (hash << 6) + (hash >> 2));
}

}  // namespace

// --- IpAddress -------------------------------------------------------------------------------------------------------

Result<IpAddress> IpAddress::parse(std::string_view text) {
  IpAddress ip;
  if (!parse_ip(text, ip)) return address_error(text, "not an IP address");
  return ip;
}

bool IpAddress::is_loopback() const noexcept {
  const IpAddress ip = unmapped();
  return ip.is_v4() ? ip.bytes_[0] == 127 : ip.bytes_ == loopback_v6().bytes_;
}

bool IpAddress::is_v4_mapped() const noexcept {
  return is_v6_ && std::equal(bytes_.begin(), bytes_.begin() + kV4MappedPrefixSize, kV4MappedPrefix.begin());
}

IpAddress IpAddress::unmapped() const noexcept {
  if (!is_v4_mapped()) return *this;
  V4Bytes v4;
  std::copy(bytes_.begin() + kV4MappedPrefixSize, bytes_.end(), v4.begin());
  return IpAddress(v4);
}

std::string to_string(const IpAddress& ip) {
  std::string text;
  if (ip.is_v4()) {
    append_v4(text, ip.bytes());
  } else if (ip.is_v4_mapped()) {
    text = "::ffff:";
    append_v4(text, ip.bytes().subspan(kV4MappedPrefixSize));
  } else {
    append_v6(text, ip.bytes());
  }
  if (ip.scope() != 0) text += '%' + std::to_string(ip.scope());
  return text;
}

// --- Address ---------------------------------------------------------------------------------------------------------

Address::Address(Kind kind, std::string text)
    : kind_(kind), text_(std::make_shared<const std::string>(std::move(text))) {}

Address Address::unix_path(std::string path) { return {Kind::path, std::move(path)}; }
Address Address::unix_abstract(std::string name) { return {Kind::abstract, std::move(name)}; }

Result<Address> Address::parse(std::string_view text) {
  if (text.starts_with('@')) return unix_abstract(std::string(text.substr(1)));
  if (text.find('/') != std::string_view::npos) return unix_path(std::string(text));
  const Result<HostPort> parts = split_host_port(text);
  if (!parts) return Unexpected(parts.error());
  IpAddress ip;
  if (!parse_ip(parts->host, ip)) return address_error(text, "not an IP address");
  std::uint16_t port = 0;
  if (!parse_port(parts->port, port)) return address_error(text, "invalid port");
  return Address(ip, port);
}

std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept {
  if (const auto order = a.kind_ <=> b.kind_; order != 0) return order;
  if (const auto order = a.ip_ <=> b.ip_; order != 0) return order;
  if (const auto order = a.port_ <=> b.port_; order != 0) return order;
  return a.text() <=> b.text();
}

std::string to_string(const Address& address) {
  switch (address.kind()) {
    case Address::Kind::none:
      break;
    case Address::Kind::ip:
      return join_host_port(to_string(address.ip()), std::to_string(address.port()));
    case Address::Kind::path:
      return std::string(address.path());
    case Address::Kind::abstract:
      return '@' + std::string(address.abstract_name());
  }
  return {};
}

// --- "host:port" -----------------------------------------------------------------------------------------------------

Result<HostPort> split_host_port(std::string_view address) {
  const std::size_t colon = address.rfind(':');
  if (colon == std::string_view::npos) return address_error(address, "missing port in address");
  std::string_view host = address.substr(0, colon);
  if (!host.empty() && host.front() == '[') {
    const std::size_t end = address.find(']');
    if (end == std::string_view::npos) return address_error(address, "missing ']' in address");
    if (end + 1 == address.size()) return address_error(address, "missing port in address");
    if (end + 1 != colon)
      return address_error(address, address[end + 1] == ':' ? "too many colons in address" : "missing port in address");
    host = address.substr(1, end - 1);
  } else if (host.find(':') != std::string_view::npos) {
    return address_error(address, "too many colons in address");
  }
  const std::string_view port = address.substr(colon + 1);
  if (host.find('[') != std::string_view::npos || port.find('[') != std::string_view::npos)
    return address_error(address, "unexpected '[' in address");
  if (host.find(']') != std::string_view::npos || port.find(']') != std::string_view::npos)
    return address_error(address, "unexpected ']' in address");
  return HostPort{std::string(host), std::string(port)};
}

std::string join_host_port(std::string_view host, std::string_view port) {
  const bool brackets = host.find(':') != std::string_view::npos;
  return (brackets ? "[" : "") + std::string(host) + (brackets ? "]:" : ":") + std::string(port);
}

}  // namespace weft::net

std::size_t std::hash<weft::net::IpAddress>::operator()(const weft::net::IpAddress& ip) const noexcept {
  const std::span<const std::uint8_t> bytes = ip.bytes();
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  return weft::net::mix(std::hash<std::string_view>()(text), ip.scope());
}

std::size_t std::hash<weft::net::Address>::operator()(const weft::net::Address& address) const noexcept {
  using weft::net::mix;
  const auto kind = static_cast<std::size_t>(address.kind());
  if (address.is_ip()) return mix(mix(kind, std::hash<weft::net::IpAddress>()(address.ip())), address.port());
  const std::hash<std::string_view> hash_text;
  return mix(kind, hash_text(address.is_unix() && address.path().empty() ? address.abstract_name() : address.path()));
}
