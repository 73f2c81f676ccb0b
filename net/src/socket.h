// What net's streams and listeners share: descriptors held by a handle, and how TCP sockets are made.
#pragma once

#include <memory>
#include <string_view>

#include "runtime/src/io/descriptor.h"
#include "weft/net/conn.h"

namespace weft::net {

// Closes a descriptor and lets go of it.
struct DescriptorDeleter {
  void operator()(rt::Descriptor* descriptor) const noexcept {
    static_cast<void>(descriptor->close());
    descriptor->drop_owner();
  }
};
using DescriptorHandle = std::unique_ptr<rt::Descriptor, DescriptorDeleter>;

// Hands the socket to the running backend's poller. Throws std::bad_alloc; the socket is closed then.
DescriptorHandle make_descriptor_handle(int fd, rt::FdKind kind);

// Returns a new non-blocking, close-on-exec TCP socket of that address family; -1 with errno.
int open_tcp_socket(int family) noexcept;

// Sets TCP_NODELAY, and keep-alive probes after 15 s as Go has them. Sockets accepted from a listener inherit both.
void set_tcp_defaults(int fd) noexcept;

// Asks the kernel; none when it does not tell.
Address local_address_of(int fd);

// Returns a connected TCP stream; `descriptor` is its socket. `network` lives as long as the program. A remote address
// that is none is asked from the kernel when somebody wants it.
Conn make_tcp_conn(DescriptorHandle descriptor, std::string_view network, const Address& remote);

}  // namespace weft::net
