// This header has what the checking clients share: addresses, requests, and a strict look at one HTTP reply.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <strings.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

namespace peer {

inline sockaddr_in parse_address(const std::string& address) {
  sockaddr_in to{};
  to.sin_family = AF_INET;
  auto colon = address.rfind(':');
  if (colon == std::string::npos || inet_pton(AF_INET, address.substr(0, colon).c_str(), &to.sin_addr) != 1) {
    std::fprintf(stderr, "address %s: want dotted IPv4 and port\n", address.c_str());
    std::exit(2);
  }
  to.sin_port = htons(static_cast<std::uint16_t>(std::atoi(address.c_str() + colon + 1)));
  return to;
}

inline std::string get_request(const std::string& address, const std::string& path, bool close = false) {
  return "GET " + path + " HTTP/1.1\r\nHost: " + address + (close ? "\r\nConnection: close" : "") + "\r\n\r\n";
}

struct ReplyScan {
  enum class State { incomplete, complete, malformed } state = State::incomplete;
  int status = 0;
  std::size_t size = 0;  // bytes of head and body, when complete
  bool close = false;    // Connection: close
};

// Looks at the reply that `data` begins with. The reply must be HTTP/1.1 with a Content-Length.
inline ReplyScan scan_reply(std::string_view data) {
  ReplyScan scan;
  auto malformed = [&] {
    scan.state = ReplyScan::State::malformed;
    return scan;
  };
  constexpr std::string_view kVersion = "HTTP/1.1 ";
  if (data.substr(0, kVersion.size()) != kVersion.substr(0, data.size())) return malformed();
  auto head_end = data.find("\r\n\r\n");
  if (head_end == std::string_view::npos) return scan;
  scan.status = std::atoi(std::string(data.substr(kVersion.size(), 3)).c_str());
  std::size_t body = 0;
  bool sized = false;
  for (auto at = data.find("\r\n"); at < head_end;) {
    auto next = data.find("\r\n", at + 2);
    std::string line(data.substr(at + 2, next - at - 2));
    if (strncasecmp(line.c_str(), "content-length:", 15) == 0) {
      body = std::strtoull(line.c_str() + 15, nullptr, 10);
      sized = true;
    } else if (strncasecmp(line.c_str(), "connection:", 11) == 0) {
      scan.close = strcasestr(line.c_str() + 11, "close") != nullptr;
    }
    at = next;
  }
  if (!sized) return malformed();
  scan.size = head_end + 4 + body;
  if (data.size() >= scan.size) scan.state = ReplyScan::State::complete;
  return scan;
}

}  // namespace peer
