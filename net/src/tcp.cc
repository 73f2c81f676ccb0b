#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <cerrno>
#include <string>
#include <utility>

#include "net/src/socket.h"
#include "weft/net/address.h"
#include "weft/net/conn.h"

namespace weft::net {
namespace {

// Go's default for both the idle time before the first probe and the interval between probes.
constexpr int kKeepAliveSeconds = 15;

// IPv4 peers of a dual-stack socket show as IPv4.
Endpoint unmapped(const Endpoint& endpoint) {
  const asio::ip::address& address = endpoint.address();
  if (!address.is_v6() || !address.to_v6().is_v4_mapped()) return endpoint;
  return {asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6()), endpoint.port()};
}

using NameFn = int (*)(int, sockaddr*, socklen_t*);

Endpoint endpoint_of(int fd, NameFn name) noexcept {
  Endpoint endpoint;
  auto length = static_cast<socklen_t>(endpoint.capacity());
  if (name(fd, endpoint.data(), &length) != 0) return {};
  endpoint.resize(length);
  return unmapped(endpoint);
}

class TcpStream final : public Stream {
 public:
  TcpStream(DescriptorHandle descriptor, const Endpoint& local, const Endpoint& remote)
      : descriptor_(std::move(descriptor)), local_(local), remote_(remote) {}

  IoResult read(std::span<char> buffer) override { return descriptor_->read(buffer); }
  IoResult writev(std::span<const std::string_view> parts) override { return descriptor_->writev(parts); }
  std::error_code wait_readable() override { return descriptor_->wait_readable(); }
  std::error_code close() override { return descriptor_->close(); }
  std::error_code close_read() override { return half_close(SHUT_RD); }
  std::error_code close_write() override { return half_close(SHUT_WR); }
  void set_read_deadline(TimePoint deadline) override { set_deadline(rt::Side::read, deadline); }
  void set_write_deadline(TimePoint deadline) override { set_deadline(rt::Side::write, deadline); }
  Endpoint local_endpoint() const override { return local_; }
  Endpoint remote_endpoint() const override { return remote_; }

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
  const Endpoint local_;
  const Endpoint remote_;
};

}  // namespace

DescriptorHandle make_descriptor_handle(int fd) { return DescriptorHandle(rt::make_descriptor(fd)); }

int open_tcp_socket(const Endpoint& endpoint) noexcept {
  return ::socket(endpoint.protocol().family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
}

void set_tcp_defaults(int fd) noexcept {
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
  ::setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &kKeepAliveSeconds, sizeof(kKeepAliveSeconds));
  ::setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &kKeepAliveSeconds, sizeof(kKeepAliveSeconds));
}

Endpoint local_endpoint_of(int fd) noexcept { return endpoint_of(fd, &::getsockname); }
Endpoint remote_endpoint_of(int fd) noexcept { return endpoint_of(fd, &::getpeername); }

Conn make_tcp_conn(DescriptorHandle descriptor, const Endpoint& local, const Endpoint& remote) {
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
  return {ec, std::string(operation) + " tcp " + to_string(local_endpoint()) + "->" + to_string(remote_endpoint())};
}

}  // namespace weft::net
