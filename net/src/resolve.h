// The addresses that a text of listen() or dial() stands for.
#pragma once

#include <string_view>
#include <vector>

#include "weft/error.h"
#include "weft/net/address.h"

namespace weft::net {

enum class Purpose { listen, dial };

// Returns the addresses that `address` stands for on `network` ("tcp", "tcp4", "tcp6"), to be tried in order. The host
// is a literal address, "localhost", or empty. An empty host means every address of this machine for listening, and
// this machine itself for dialing. Other names are refused: there is no resolver. An empty port is 0.
Result<std::vector<Address>> resolve(std::string_view network, std::string_view address, Purpose purpose);

// Why `address` can't be dialed on `network`, in the words of resolve(); none when it can.
Error unsuitable(std::string_view network, const Address& address);

// Returns the name of a network that resolve() knows, as a text that lives as long as the program; empty of another.
std::string_view network_name(std::string_view network) noexcept;

}  // namespace weft::net
