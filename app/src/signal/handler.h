// The half of signal delivery that runs inside signal handlers, and what it shares with the goroutine that delivers.
//
// A handler sets the signal's bit in a word and adds to an eventfd, which wakes the reader (hub.cc): in that order, and
// the reader takes them in the other order, so a bit is never left behind without a wake-up to come. Both calls are
// async-signal-safe. The eventfd lives as long as the process: a handler may still be running when the last
// subscription ends.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace weft::app::detail {

// Bit n - 1 stands for signal n.
using SignalMask = std::uint64_t;

inline constexpr int kMaxSignal = 64;

constexpr SignalMask signal_bit(int signal) noexcept { return SignalMask{1} << (signal - 1); }

// Throws Panic for a number that is no signal or can't be caught.
SignalMask signal_mask(const std::vector<int>& signals);

// "SIGTERM"; "signal 60" for one without a name.
std::string signal_name(int signal);

// The eventfd, made at the first call. Throws std::system_error.
int signal_event_fd();

// The signals that arrived since the last call.
SignalMask take_signals() noexcept;

// Puts the handler in place, and back what was there before. One caller at a time.
void hook_signal(int signal);
void unhook_signal(int signal) noexcept;

// While it lives, the second of these signals (any two of them) ends the process at once with status 128 + signal and a
// line on stderr: in the handler itself, so that it works when no goroutine gets to run any more. One at a time.
class ForcedExit {
 public:
  ForcedExit(SignalMask signals, std::string_view program);
  ~ForcedExit();
  ForcedExit(const ForcedExit&) = delete;
  ForcedExit& operator=(const ForcedExit&) = delete;
};

// While it lives, a write to a broken pipe returns EPIPE instead of ending the process, unless the program handles or
// ignores SIGPIPE itself. It is a handler that does nothing, not SIG_IGN: programs that are exec'd get the default
// back. One at a time.
class NoSigpipe {
 public:
  NoSigpipe() noexcept;
  ~NoSigpipe();
  NoSigpipe(const NoSigpipe&) = delete;
  NoSigpipe& operator=(const NoSigpipe&) = delete;

 private:
  bool changed_ = false;
};

}  // namespace weft::app::detail
