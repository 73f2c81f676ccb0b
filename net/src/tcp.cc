#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <utility>

#include "net/src/sockaddr.h"
#include "net/src/socket.h"
#include "runtime/src/base/clock.h"
#include "runtime/src/base/errno.h"
#include "runtime/src/base/spin_mutex.h"
#include "weft/net/conn.h"

namespace weft::net {
namespace {

// Go's default for both the idle time before the first probe and the interval between probes.
constexpr int kKeepAliveSeconds = 15;

using NameFn = int (*)(int, sockaddr*, socklen_t*);

Address address_of(int fd, NameFn name) {
  SocketAddress address;
  socklen_t length = SocketAddress::capacity();
  if (name(fd, address.data(), &length) != 0) return {};
  address.resize(length);
  return address.address();
}

// Does what getpeername(2) does, also when the peer has reset the connection: then getpeername() says ENOTCONN, but the
// option SO_PEERNAME still tells. SO_PEERNAME wants to be asked for no more than the address has.
int name_of_peer(int fd, sockaddr* address, socklen_t* length) noexcept {
  if (::getpeername(fd, address, length) == 0) return 0;
  for (const socklen_t size : {socklen_t{sizeof(sockaddr_in6)}, socklen_t{sizeof(sockaddr_in)}}) {
    *length = size;
    if (::getsockopt(fd, SOL_SOCKET, SO_PEERNAME, address, length) == 0) return 0;
  }
  return -1;
}

class TcpStream final : public Stream {
 public:
  TcpStream(DescriptorHandle descriptor, std::string_view network, const Address& remote)
      : descriptor_(std::move(descriptor)), network_(network), addresses_{{}, remote} {}

  IoResult read(std::span<char> buffer) override { return descriptor_->read(buffer); }
  IoResult try_read(std::span<char> buffer) override { return descriptor_->try_read(buffer); }
  IoResult writev(std::span<const std::string_view> parts) override { return descriptor_->writev(parts); }
  std::error_code wait_readable() override { return descriptor_->wait_readable(); }
  void expect_end() override { descriptor_->expect_end(); }
  std::error_code close() override { return descriptor_->close(); }
  std::error_code close_read() override { return half_close(SHUT_RD); }
  std::error_code close_write() override { return half_close(SHUT_WR); }
  std::error_code on_hang_up(std::function<void()> fn) override { return descriptor_->on_hang_up(std::move(fn)); }
  std::error_code set_write_stall_timeout(std::chrono::nanoseconds timeout) override {
    descriptor_->set_write_stall_timeout(timeout.count() > 0 ? timeout.count() : rt::kNever);
    return {};
  }
  void set_read_deadline(TimePoint deadline) override { set_deadline(rt::Side::read, deadline); }
  void set_write_deadline(TimePoint deadline) override { set_deadline(rt::Side::write, deadline); }
  Address local_address() const override { return ask(&Addresses::local, &::getsockname); }
  Address remote_address() const override { return ask(&Addresses::remote, &name_of_peer); }
  std::string_view network() const override { return network_; }

  IoResult send_file(int file, std::uint64_t offset, std::size_t count) override {
    const IoResult sent = descriptor_->send_file(file, offset, count);
    // The kernel copies from files that it can map, and refuses the others before the first byte.
    const bool refused = sent.ec == std::errc::invalid_argument || sent.ec == std::errc::function_not_supported;
    return refused && sent.n == 0 ? Stream::send_file(file, offset, count) : sent;
  }

 private:
  // Each is none until it is known.
  struct Addresses {
    Address local;
    Address remote;
  };

  std::error_code half_close(int how) {
    return descriptor_->with_fd(
        [how](int fd) { return ::shutdown(fd, how) == 0 ? std::error_code() : rt::last_system_error(); });
  }
  void set_deadline(rt::Side side, TimePoint deadline) { descriptor_->set_deadline(side, rt::to_nanos(deadline)); }

  // Most connections are never asked, so accepting one costs no system call for its addresses.
  Address ask(Address Addresses::*which, NameFn name) const {
    {
      const LockGuard lock(addresses_mutex_);
      if (!(addresses_.*which).is_none()) return addresses_.*which;
    }
    Address found;
    static_cast<void>(descriptor_->with_fd([&](int fd) {
      found = address_of(fd, name);
      return std::error_code();
    }));
    // A late answer may be none, because the connection is closed; then another goroutine's earlier one stays.
    const LockGuard lock(addresses_mutex_);
    Address& known = addresses_.*which;
    if (known.is_none()) known = found;
    return known;
  }

  const DescriptorHandle descriptor_;
  const std::string_view network_;
  mutable rt::SpinMutex addresses_mutex_;
  mutable Addresses addresses_ WEFT_GUARDED_BY(addresses_mutex_);
};

}  // namespace

DescriptorHandle make_descriptor_handle(int fd, rt::FdKind kind) {
  try {
    return DescriptorHandle(rt::make_descriptor(fd, kind));
  } catch (...) {
    ::close(fd);
    throw;
  }
}

int open_tcp_socket(int family) noexcept {
  return ::socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
}

void set_tcp_defaults(int fd) noexcept {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof(kKeepAliveSeconds));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveSeconds, sizeof(kKeepAliveSeconds));
}

Address local_address_of(int fd) { return address_of(fd, &::getsockname); }

Conn make_tcp_conn(DescriptorHandle descriptor, std::string_view network, const Address& remote) {
  return Conn(std::make_shared<TcpStream>(std::move(descriptor), network, remote));
}

}  // namespace weft::net
