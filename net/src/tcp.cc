#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "net/src/sockaddr.h"
#include "net/src/socket.h"
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

class TcpStream final : public Stream {
 public:
  TcpStream(DescriptorHandle descriptor, const Address& local, const Address& remote)
      : descriptor_(std::move(descriptor)), local_(local), remote_(remote) {}

  IoResult read(std::span<char> buffer) override { return descriptor_->read(buffer); }
  IoResult writev(std::span<const std::string_view> parts) override { return descriptor_->writev(parts); }
  std::error_code wait_readable() override { return descriptor_->wait_readable(); }
  std::error_code close() override { return descriptor_->close(); }
  std::error_code close_read() override { return half_close(SHUT_RD); }
  std::error_code close_write() override { return half_close(SHUT_WR); }
  void set_read_deadline(TimePoint deadline) override { set_deadline(rt::Side::read, deadline); }
  void set_write_deadline(TimePoint deadline) override { set_deadline(rt::Side::write, deadline); }
  Address local_address() const override { return local_; }
  Address remote_address() const override { return remote_; }

 private:
  std::error_code half_close(int how) {
    return descriptor_->with_fd([how](int fd) {
      return ::shutdown(fd, how) == 0 ? std::error_code() : std::error_code(errno, std::system_category());
    });
  }
  void set_deadline(rt::Side side, TimePoint deadline) {
    descriptor_->set_deadline(side, deadline == kNoDeadline ? rt::kNever : rt::to_nanos(deadline));
  }

  const DescriptorHandle descriptor_;
  const Address local_;
  const Address remote_;
};

}  // namespace

DescriptorHandle make_descriptor_handle(int fd) { return DescriptorHandle(rt::make_descriptor(fd)); }

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
Address remote_address_of(int fd) { return address_of(fd, &::getpeername); }

Conn make_tcp_conn(DescriptorHandle descriptor, const Address& local, const Address& remote) {
  return Conn(std::make_shared<TcpStream>(std::move(descriptor), local, remote));
}

IoResult Conn::read_full(std::span<char> buffer) {
  IoResult total;
  while (total.n < buffer.size() && !total.ec) {
    const IoResult part = read(buffer.subspan(total.n));
    total.n += part.n;
    total.ec = part.ec;
  }
  return total;
}

Error Conn::error(std::string_view operation, std::error_code ec) const {
  if (!ec || ec == Condition::eof) return ec;  // the end of a stream is bare, as Go has it
  return {ec, std::string(operation) + " tcp " + to_string(local_address()) + "->" + to_string(remote_address())};
}

}  // namespace weft::net
