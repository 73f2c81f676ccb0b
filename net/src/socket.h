// What net's streams and listeners share: descriptors held by a handle, and addresses of sockets.
#pragma once

#include <memory>

#include "runtime/src/io/descriptor.h"
#include "weft/net/conn.h"

namespace weft::net {

// Closes and lets go of a descriptor.
struct DescriptorDeleter {
  void operator()(rt::Descriptor* descriptor) const noexcept {
    static_cast<void>(descriptor->close());
    descriptor->drop_owner();
  }
};
using DescriptorHandle = std::unique_ptr<rt::Descriptor, DescriptorDeleter>;

// Hands the socket to the running backend's poller.
DescriptorHandle make_descriptor_handle(int fd);

// A new non-blocking, close-on-exec TCP socket of that address family; -1 with errno.
int open_tcp_socket(int family) noexcept;

// TCP_NODELAY, and keep-alive probes after 15 s as Go has them. Sockets accepted from a listener inherit both.
void set_tcp_defaults(int fd) noexcept;

// None when the system does not tell.
Address local_address_of(int fd);
Address remote_address_of(int fd);

// A connected TCP stream; `descriptor` is its socket.
Conn make_tcp_conn(DescriptorHandle descriptor, const Address& local, const Address& remote);

}  // namespace weft::net
