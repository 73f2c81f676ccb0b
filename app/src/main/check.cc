#include "app/src/main/check.h"

#include <cstdio>
#include <string>
#include <string_view>

#include "weft/context.h"
#include "weft/error.h"
#include "weft/go.h"
#include "weft/log.h"
#include "weft/net/address.h"
#include "weft/net/dial.h"

namespace weft::program {
namespace {

// The head of a response must end within this many bytes.
constexpr std::size_t kMaxHead = 64 * 1024;

struct Url {
  std::string host;  // the value of the Host field
  std::string address;
  std::string target;
};

Result<Url> parse_url(std::string_view text) {
  constexpr std::string_view kScheme = "http://";
  if (!text.starts_with(kScheme)) return Unexpected(Error::text("only http:// URLs are checked"));
  text.remove_prefix(kScheme.size());
  text = text.substr(0, text.find('#'));
  const std::size_t end = std::min(text.find_first_of("/?"), text.size());
  Url url;
  url.host = text.substr(0, end);
  url.target = text.substr(end);
  if (!url.target.starts_with('/')) url.target.insert(0, "/");
  const bool clean = text.find_first_of(" \t\r\n@") == std::string_view::npos;
  if (url.host.empty() || url.host.front() == ':' || !clean) return Unexpected(Error::text("no host in it"));
  const bool has_port = url.host.find(':', url.host.front() == '[' ? url.host.find(']') : 0) != std::string::npos;
  url.address = has_port ? url.host : url.host + ":80";
  if (const auto parts = net::split_host_port(url.address); !parts) return Unexpected(parts.error());
  // The zone of an address means something on this machine alone, and isn't sent (RFC 6874 section 4).
  const std::size_t zone = url.host.find('%');
  if (url.host.front() == '[' && zone != std::string::npos) url.host.erase(zone, url.host.find(']') - zone);
  return url;
}

// Returns "200 OK" for "HTTP/1.1 200 OK", and nothing when the line is no status line.
std::string_view status_of(std::string_view line) {
  constexpr std::string_view kVersion = "HTTP/1.";
  constexpr std::size_t kDigits = 3;
  if (!line.starts_with(kVersion) || line.size() < kVersion.size() + 2 + kDigits) return {};
  line.remove_prefix(kVersion.size() + 1);
  if (line.front() != ' ') return {};
  line.remove_prefix(1);
  const std::size_t digits = std::min(line.find_first_not_of("0123456789"), line.size());
  const bool ends = line.size() == kDigits || line[kDigits] == ' ';
  return digits == kDigits && ends ? line : std::string_view();
}

// Drops complete interim responses (1xx) from the front of `head`, and returns the final status once its line is there.
std::string_view final_status(std::string& head, bool& malformed) {
  for (;;) {
    const std::size_t line_end = head.find("\r\n");
    if (line_end == std::string::npos) return {};
    const std::string_view status = status_of(std::string_view(head).substr(0, line_end));
    malformed = status.empty();
    if (malformed || status.front() != '1') return status;
    const std::size_t head_end = head.find("\r\n\r\n");
    if (head_end == std::string::npos) return {};
    head.erase(0, head_end + 4);
  }
}

// Sends the request and returns the status of the answer: "200 OK".
Result<std::string> ask(const Url& url, std::chrono::milliseconds timeout) {
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  const auto [ctx, cancel] = with_deadline(background(), deadline);
  Result<net::Conn> conn = net::dial(ctx, "tcp", url.address);
  cancel();
  if (!conn) return Unexpected(conn.error());
  conn->set_deadline(deadline);
  const std::string request = "GET " + url.target + " HTTP/1.1\r\nHost: " + url.host +
                              "\r\nUser-Agent: weft-check\r\nAccept: */*\r\nConnection: close\r\n\r\n";
  if (const IoResult sent = conn->write(request); sent.ec) return Unexpected(conn->error("write", sent.ec));
  std::string head;
  char buffer[4096];
  while (head.size() < kMaxHead) {
    const IoResult got = conn->read(buffer);
    head.append(buffer, got.n);
    bool malformed = false;
    const std::string_view status = final_status(head, malformed);
    if (malformed) break;
    if (!status.empty()) return std::string(status);
    if (got.ec == Condition::eof) return Unexpected(Error::text("the server hung up without an answer"));
    if (got.ec) return Unexpected(conn->error("read", got.ec));
  }
  return Unexpected(Error::text("the answer is not HTTP/1.1"));
}

int fail(const CheckCommand& command, const std::string& reason, int status) {
  std::fprintf(stderr, "weft: check %s: %s\n", one_line(command.url).c_str(), one_line(reason).c_str());
  return status;
}

}  // namespace

int check(const CheckCommand& command) {
  const Result<Url> url = parse_url(command.url);
  if (!url) return fail(command, url.error().message(), kUsageStatus);
  return weft::run(
      [&] {
        const Result<std::string> status = ask(*url, command.timeout);
        if (!status) return fail(command, status.error().message(), 1);
        return status->front() == '2' ? 0 : fail(command, *status, 1);
      },
      {.procs = 1, .poller = PollerChoice::epoll});
}

}  // namespace weft::program
