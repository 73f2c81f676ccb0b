// Address: where a socket is, as a value and as text; and the text "host:port" taken apart and put together.
//
// Thread safety: these are plain values. Distinct objects may be used from any thread; a shared one needs a lock.
// Blocking: nothing here blocks. Only IpAddress::parse() may ask the system: for the number of a named interface.
#pragma once

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <weft/error.h>

namespace weft::net {

// An IPv4 or IPv6 address, the latter with a scope (the number of an interface; 0: none). A new one is 0.0.0.0.
// The order: IPv4 before IPv6, then by bytes, then by scope.
class IpAddress {
 public:
  using V4Bytes = std::array<std::uint8_t, 4>;
  using V6Bytes = std::array<std::uint8_t, 16>;

  constexpr IpAddress() noexcept = default;
  // Bytes are in network order: {127, 0, 0, 1}.
  constexpr explicit IpAddress(const V4Bytes& bytes) noexcept : bytes_{bytes[0], bytes[1], bytes[2], bytes[3]} {}
  constexpr explicit IpAddress(const V6Bytes& bytes, std::uint32_t scope = 0) noexcept
      : is_v6_(true), bytes_(bytes), scope_(scope) {}

  static constexpr IpAddress any_v4() noexcept { return {}; }
  static constexpr IpAddress any_v6() noexcept { return IpAddress(V6Bytes{}); }
  static constexpr IpAddress loopback_v4() noexcept { return IpAddress(V4Bytes{127, 0, 0, 1}); }
  static constexpr IpAddress loopback_v6() noexcept {
    return IpAddress(V6Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1});
  }

  // Reads "127.0.0.1", "::1", "fe80::1%2" or "fe80::1%eth0". The name of an interface becomes its number. Everything
  // else is an error that reads "address foo: not an IP address": short forms and leading zeros of IPv4, brackets, a
  // scope of IPv4, an interface that this machine does not have.
  static Result<IpAddress> parse(std::string_view text);

  constexpr bool is_v4() const noexcept { return !is_v6_; }
  constexpr bool is_v6() const noexcept { return is_v6_; }
  // 4 or 16 bytes in network order. They live as long as this object.
  constexpr std::span<const std::uint8_t> bytes() const noexcept { return {bytes_.data(), is_v6_ ? 16u : 4u}; }
  constexpr std::uint32_t scope() const noexcept { return scope_; }

  // True for 0.0.0.0 and ::, which mean every address of a machine, and for ::ffff:0.0.0.0.
  constexpr bool is_unspecified() const noexcept {
    return bytes_ == V6Bytes{} || bytes_ == V6Bytes{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  }
  // True for 127.0.0.0/8 and ::1, and for an IPv4-mapped address when the IPv4 address is of that kind.
  bool is_loopback() const noexcept;

  // True for ::ffff:a.b.c.d, which stands for a.b.c.d on an IPv6 socket.
  bool is_v4_mapped() const noexcept;
  // Returns the IPv4 address that an IPv4-mapped one stands for, and every other address as it is.
  IpAddress unmapped() const noexcept;

  friend constexpr bool operator==(const IpAddress&, const IpAddress&) noexcept = default;
  friend constexpr auto operator<=>(const IpAddress&, const IpAddress&) noexcept = default;

 private:
  bool is_v6_ = false;
  V6Bytes bytes_{};  // of IPv4 the first four; the others are zero
  std::uint32_t scope_ = 0;
};

// Returns the address in the form of RFC 5952, with the number of the scope if there is one: "fe80::1%2". Of the IPv6
// addresses only an IPv4-mapped one ends in the form of IPv4, as in Go's net/netip. IpAddress::parse() reads the text
// back as the same address.
std::string to_string(const IpAddress& ip);

// The address of a socket: an IP address with a port, the path of a Unix socket, an abstract Unix name, or none. It
// does not tell the network ("tcp", "udp", "unix"): the same address may be used on several.
// Its size is 48 bytes. An IP address needs no allocation; copies of a Unix address share their text.
// The order: none, IP, path, abstract name; then by address and port, or by bytes of the text.
class Address {
 public:
  enum class Kind : std::uint8_t { none, ip, path, abstract };

  Address() noexcept = default;  // none
  Address(const IpAddress& ip, std::uint16_t port) noexcept : kind_(Kind::ip), port_(port), ip_(ip) {}
  // The address of a Unix socket in the file system. Throws std::bad_alloc. Whether the system takes the path is known
  // when it is used: it may have 107 bytes.
  static Address unix_path(std::string path);
  // The address of a Unix socket in the abstract namespace. `name` is given without '@' and may hold any 107 bytes.
  static Address unix_abstract(std::string name);

  // Reads "127.0.0.1:80", "[fe80::1%2]:80", "@name" (an abstract name) or, if there is a '/' in it, a path. Host and
  // port are numbers; nothing is looked up but the name of an interface. Errors read "address foo: missing port in
  // address", with Go's reasons, or "address foo: not an IP address".
  static Result<Address> parse(std::string_view text);

  Kind kind() const noexcept { return kind_; }
  bool is_none() const noexcept { return kind_ == Kind::none; }
  bool is_ip() const noexcept { return kind_ == Kind::ip; }
  // True for a path and for an abstract name.
  bool is_unix() const noexcept { return kind_ == Kind::path || kind_ == Kind::abstract; }

  // The IP address and the port, in host order; 0.0.0.0 and 0 of another kind.
  const IpAddress& ip() const noexcept { return ip_; }
  std::uint16_t port() const noexcept { return port_; }

  // The path, or the abstract name without '@'; each is empty of another kind. The text lives as long as this object or
  // a copy of it.
  std::string_view path() const noexcept { return kind_ == Kind::path ? text() : std::string_view(); }
  std::string_view abstract_name() const noexcept { return kind_ == Kind::abstract ? text() : std::string_view(); }

  friend bool operator==(const Address& a, const Address& b) noexcept { return (a <=> b) == 0; }
  friend std::strong_ordering operator<=>(const Address& a, const Address& b) noexcept;

 private:
  Address(Kind kind, std::string text);
  std::string_view text() const noexcept { return text_ != nullptr ? std::string_view(*text_) : std::string_view(); }

  Kind kind_ = Kind::none;
  std::uint16_t port_ = 0;
  IpAddress ip_;
  std::shared_ptr<const std::string> text_;
};

// Returns "127.0.0.1:80", "[::1]:80", a path as it is, '@' and an abstract name, or "" for none. Address::parse() reads
// it back as the same address, but for none and for a relative path that has no '/' or begins with '@'.
std::string to_string(const Address& address);

struct HostPort {
  std::string host;
  std::string port;
};

// "[::1]:80" -> {"::1", "80"}, as Go's SplitHostPort. Errors read "address foo: missing port in address", with Go's
// reasons.
Result<HostPort> split_host_port(std::string_view address);

// {"::1", "80"} -> "[::1]:80", as Go's JoinHostPort.
std::string join_host_port(std::string_view host, std::string_view port);

}  // namespace weft::net

template <>
struct std::hash<weft::net::IpAddress> {
  std::size_t operator()(const weft::net::IpAddress& ip) const noexcept;
};
template <>
struct std::hash<weft::net::Address> {
  std::size_t operator()(const weft::net::Address& address) const noexcept;
};
