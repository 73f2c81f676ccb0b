#include "app/src/main/command_line.h"

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <map>
#include <string_view>

#include <CLI/CLI.hpp>

#include "weft/log.h"

namespace weft::program {
namespace {

// Turns "750ms", "10s", "2m" or "0" into the number of milliseconds. Returns what is wrong, or nothing.
std::string duration_to_milliseconds(std::string& text) {
  static const std::map<std::string_view, std::int64_t> units = {{"ms", 1}, {"s", 1000}, {"m", 60'000}};
  constexpr std::size_t kMaxDigits = 9;
  const std::size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  const auto unit = units.find(std::string_view(text).substr(digits));
  const bool zero = text == "0";
  if (digits == 0 || digits > kMaxDigits || (unit == units.end() && !zero)) {
    return "\"" + text + "\" is no duration, write 750ms, 10s or 2m";
  }
  text = zero ? text : std::to_string(std::stoll(text.substr(0, digits)) * unit->second);
  return {};
}

void add_duration(CLI::App& command, const std::string& name, std::chrono::milliseconds& value,
                  const std::string& what) {
  command
      .add_option_function<std::int64_t>(
          name, [&value](std::int64_t ms) { value = std::chrono::milliseconds(ms); }, what)
      ->transform(CLI::Validator(duration_to_milliseconds, ""))
      ->type_name("DURATION");
}

int usage_mistake(std::string text) {
  // CLI11's messages may have several lines.
  while (!text.empty() && (text.back() == '\n' || text.back() == '.')) text.pop_back();
  std::ranges::replace(text, '\n', ' ');
  std::fprintf(stderr, "weft: %s (weft --help tells more)\n", one_line(text).c_str());
  return kUsageStatus;
}

}  // namespace

Command parse_command_line(int argc, char** argv) {
  CLI::App app("Go's way of building network services in C++20: the bundled server.", "weft");
  app.set_version_flag("--version", std::string("weft ") + WEFT_VERSION, "Print the version and exit");
  app.set_help_flag("-h,--help", "Print this help and exit");
  app.require_subcommand(0, 1);
  // The last of several values counts, so that a wrapper's flags can be overridden. Subcommands inherit this.
  app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

  ServeCommand serve;
  CLI::App& serve_app =
      *app.add_subcommand("serve", "Serve the demonstration routes and the debug pages until SIGTERM");
  serve_app.add_option("--address", serve.address, "Where to serve, HOST:PORT or :PORT")
      ->capture_default_str()
      ->type_name("ADDRESS");
  serve_app
      .add_option("--debug-address", serve.debug_address,
                  "Where to serve /debug/; :PORT: to every machine; empty: nowhere")
      ->capture_default_str()
      ->type_name("ADDRESS");
  serve_app.add_option("--poller", serve.poller, "What carries I/O (default: $WEFT_POLLER, else auto)")
      ->check(CLI::IsMember({"auto", "io_uring", "io_uring_plain", "epoll"}));
  serve_app.add_option("--procs", serve.procs, "Processors (default: $WEFT_PROCS, else what the machine grants)")
      ->check(CLI::Range(1, 1024))
      ->type_name("N");
  serve_app.add_option("--log-level", serve.log_level, "Least level that is logged")
      ->check(CLI::IsMember({"trace", "debug", "info", "warn", "error", "off"}))
      ->capture_default_str();
  add_duration(serve_app, "--stop-timeout", serve.stop_timeout,
               "Longest that a stop may take; 0: no limit (default: 10s)");
  add_duration(serve_app, "--drain-delay", serve.drain_delay, "From failing readiness to the stop (default: 0)");

  CheckCommand check;
  CLI::App& check_app =
      *app.add_subcommand("check", "Ask a server for a page; exit with 0 if and only if it answers 2xx");
  check_app.add_option("URL", check.url, "http://HOST[:PORT][/PATH]")->required();
  add_duration(check_app, "--timeout", check.timeout, "Longest that the check may take (default: 5s)");

  const std::string first = argc > 1 ? argv[1] : "-";
  if (!first.starts_with('-') && !serve_app.check_name(first) && !check_app.check_name(first)) {
    return Done{usage_mistake("there is no command \"" + first + "\", use serve or check")};
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& request) {
    return Done{app.exit(request)};
  } catch (const CLI::ParseError& error) {
    return Done{usage_mistake(error.what())};
  }
  if (serve_app.parsed()) return serve;
  if (check_app.parsed()) return check;
  return Done{usage_mistake("no command given, use serve or check")};
}

}  // namespace weft::program
