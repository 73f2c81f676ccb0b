#include "net/src/handshakes.h"

#include <linux/filter.h>
#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstddef>

namespace weft::net {
namespace {

constexpr unsigned kFlagsOffset = 13;  // of the byte with the flags in a TCP header
constexpr unsigned kSyn = 0x02;
constexpr unsigned kAck = 0x10;
constexpr unsigned kWholeSegment = 0xffffffff;

// The kernel's state of a handshake that has no socket of its own yet. No public header has it.
constexpr unsigned kTcpNewSynRecv = 12;

struct DiagRequest {
  nlmsghdr header;
  inet_diag_req_v2 body;
};

// Reads the answer to one request. None: the kernel refuses.
std::optional<bool> read_answer(int netlink) noexcept {
  alignas(nlmsghdr) std::array<char, 8192> buffer;
  while (true) {
    // The kernel makes each part of its answer when it is asked for it, so that no call has to wait.
    const ssize_t n = ::recv(netlink, buffer.data(), buffer.size(), MSG_DONTWAIT);
    if (n <= 0) return std::nullopt;
    const auto* message = reinterpret_cast<const nlmsghdr*>(buffer.data());
    if (!NLMSG_OK(message, static_cast<std::size_t>(n))) return std::nullopt;
    if (message->nlmsg_type == SOCK_DIAG_BY_FAMILY) return true;
    if (message->nlmsg_type == NLMSG_DONE) return false;
    if (message->nlmsg_type == NLMSG_ERROR) return std::nullopt;
  }
}

std::optional<bool> ask(std::uint8_t family, std::uint16_t port) noexcept {
  const int netlink = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_SOCK_DIAG);
  if (netlink < 0) return std::nullopt;
  DiagRequest request{};
  request.header.nlmsg_len = sizeof(request);
  request.header.nlmsg_type = SOCK_DIAG_BY_FAMILY;
  request.header.nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP;
  request.body.sdiag_family = family;
  request.body.sdiag_protocol = IPPROTO_TCP;
  request.body.idiag_states = 1U << TCP_SYN_RECV | 1U << kTcpNewSynRecv;
  request.body.id.idiag_sport = htons(port);
  const bool sent = ::send(netlink, &request, sizeof(request), 0) == static_cast<ssize_t>(sizeof(request));
  const std::optional<bool> answer = sent ? read_answer(netlink) : std::nullopt;
  ::close(netlink);
  return answer;
}

}  // namespace

// A filter of a TCP socket sees the segment from the TCP header on, over IPv4 and IPv6 alike. A listener's filter sees
// the SYN, and also the ACK, which has not got a socket of its own yet.
bool bar_new_handshakes(int fd) noexcept {
  sock_filter instructions[] = {
      BPF_STMT(BPF_LD | BPF_B | BPF_ABS, kFlagsOffset), BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kSyn | kAck),
      BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, kSyn, 0, 1),  BPF_STMT(BPF_RET | BPF_K, 0),
      BPF_STMT(BPF_RET | BPF_K, kWholeSegment),
  };
  const sock_fprog program{std::size(instructions), instructions};
  return ::setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof(program)) == 0;
}

void drop_inherited_bar(int fd) noexcept {
  const int unused = 0;
  static_cast<void>(::setsockopt(fd, SOL_SOCKET, SO_DETACH_FILTER, &unused, sizeof(unused)));
}

std::optional<bool> handshakes_under_way(std::uint16_t port, bool v6) noexcept {
  const std::optional<bool> v4_answer = ask(AF_INET, port);
  return v6 && v4_answer == false ? ask(AF_INET6, port) : v4_answer;
}

}  // namespace weft::net
