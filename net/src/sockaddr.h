// Addresses as the system calls take and give them.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "weft/net/address.h"

namespace weft::net {

// Room for an address of every family that Address knows.
class SocketAddress {
 public:
  SocketAddress() noexcept : storage_{} {}
  // It is empty when there is no such socket address: for none, and for a path or name that the system has no room for.
  explicit SocketAddress(const Address& address) noexcept;

  bool empty() const noexcept { return length_ == 0; }
  // AF_UNSPEC when empty.
  int family() const noexcept { return storage_.any.sa_family; }
  const sockaddr* data() const noexcept { return &storage_.any; }
  socklen_t size() const noexcept { return length_; }

  // What a system call fills in: data and room go in, resize() takes what came out.
  sockaddr* data() noexcept { return &storage_.any; }
  static constexpr socklen_t capacity() noexcept { return sizeof(Storage); }
  void resize(socklen_t length) noexcept;

  // An IPv4-mapped IPv6 address, as the peers of a dual-stack socket have it, becomes IPv4. An unnamed Unix socket and
  // an unknown family have none. Throws std::bad_alloc for a Unix address.
  Address address() const;

 private:
  union Storage {
    sockaddr any;
    sockaddr_in v4;
    sockaddr_in6 v6;
    sockaddr_un local;
  };

  Storage storage_;
  socklen_t length_ = 0;
};

}  // namespace weft::net
