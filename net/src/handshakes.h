// What a listener that is about to close does for the clients that are just connecting: it lets no new handshake begin,
// and asks the kernel whether one is under way.
//
// A handshake is three segments: the client's SYN, the kernel's answer, and the client's ACK. The client takes itself
// for connected, and sends its request, as soon as it has the answer. The kernel has the connection for accept() when
// the ACK has come. A listener that closes in between resets the client.
#pragma once

#include <cstdint>
#include <optional>

namespace weft::net {

// From here on the kernel drops every SYN that comes for the listening TCP socket `fd`. Handshakes under way go on.
// Returns false where the kernel takes no such filter, and everything is as before. The filter belongs to the socket,
// not to this process, and it can't be told apart from one that somebody else has attached: it replaces that one.
bool bar_new_handshakes(int fd) noexcept;

// Takes the filter away that the accepted socket `fd` may have inherited from such a listener. One that stays does no
// harm, but the kernel runs it for every segment.
void drop_inherited_bar(int fd) noexcept;

// Returns whether a handshake is under way at this local TCP port, whatever the listener; none where the kernel does
// not tell. `v6`: the listener takes IPv6, and IPv4 perhaps, too. The kernel walks its table of connections, once or
// twice, which takes some milliseconds: call it inside blocking().
std::optional<bool> handshakes_under_way(std::uint16_t port, bool v6) noexcept;

}  // namespace weft::net
