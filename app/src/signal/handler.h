// The half of signal delivery that runs inside signal handlers, and what it shares with the goroutine that delivers.
//
// A handler first sets the signal's bit in a word, then adds to an eventfd, which wakes the reader (hub.cc). The reader
// first reads the eventfd, then takes the bits. So no bit is ever left without a wake-up that is still to come. Both
// calls of the handler are async-signal-safe. The eventfd lives as long as the process, because a handler may still run
// when the last subscription ends.
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

// Returns the mask of `signals`. Throws Panic for a number that is no signal, and for a signal that can't be caught.
SignalMask signal_mask(const std::vector<int>& signals);

// Returns "SIGTERM", or "signal 60" for a signal without a name.
std::string signal_name(int signal);

// Returns the eventfd, which the first call makes. Throws std::system_error.
int signal_event_fd();

// Returns another number of the eventfd, which the caller closes. Throws std::system_error.
int duplicate_signal_event_fd();

// Makes the eventfd unreadable until the next signal arrives.
void clear_signal_event() noexcept;

// Returns the signals that arrived since the last call.
SignalMask take_signals() noexcept;

// hook_signal() puts the handler in place; unhook_signal() restores what was there before. One caller at a time.
void hook_signal(int signal);
void unhook_signal(int signal) noexcept;

// While a ForcedExit lives, the second of these signals (any two of them) ends the process at once with status 128 +
// signal and a line on stderr. The handler itself does this, so that it works even when no goroutine gets to run any
// more. One ForcedExit at a time.
class ForcedExit {
 public:
  ForcedExit(SignalMask signals, std::string_view program);
  ~ForcedExit();
  ForcedExit(const ForcedExit&) = delete;
  ForcedExit& operator=(const ForcedExit&) = delete;
};

// While a NoSigpipe lives, a write to a broken pipe returns EPIPE instead of ending the process, unless the program
// handles or ignores SIGPIPE itself. It installs a handler that does nothing, not SIG_IGN, because programs that are
// exec'd get the default back from a handler. One NoSigpipe at a time.
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
