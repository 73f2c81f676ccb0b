// What `weft` was asked on its command line.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <variant>

namespace weft::program {

// The exit status for a command line that makes no sense.
inline constexpr int kUsageStatus = 2;

struct ServeCommand {
  std::string address = ":8080";
  // Empty: no debug server. Whoever can connect sees the program from inside, so the default is this machine alone.
  std::string debug_address = "127.0.0.1:8001";
  std::string poller;  // empty: WEFT_POLLER, else auto
  int procs = 0;       // 0: WEFT_PROCS, else what the machine grants
  std::string log_level = "info";
  std::chrono::milliseconds stop_timeout = std::chrono::seconds(10);  // 0: no limit
  std::chrono::milliseconds drain_delay{0};
};

struct CheckCommand {
  std::string url;
  std::chrono::milliseconds timeout = std::chrono::seconds(5);
};

// There is nothing to run: what was asked for is already printed.
struct Done {
  int status = 0;
};

using Command = std::variant<Done, ServeCommand, CheckCommand>;

// Prints help and version to stdout, and one line about a mistake to stderr.
Command parse_command_line(int argc, char** argv);

}  // namespace weft::program
