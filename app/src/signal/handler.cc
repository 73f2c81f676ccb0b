#include "app/src/signal/handler.h"

#include <fcntl.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <system_error>

#include "runtime/src/base/errno.h"
#include "weft/panic.h"

namespace weft::app::detail {
namespace {

std::atomic<SignalMask> arrived{0};
std::atomic<int> event_fd{-1};

std::atomic<SignalMask> forcing{0};  // the signals of ForcedExit
std::atomic<int> forcing_seen{0};    // how many of those arrived
std::array<char, 96> forced_text;    // written before `forcing`
std::size_t forced_text_size = 0;

static_assert(std::atomic<SignalMask>::is_always_lock_free && std::atomic<int>::is_always_lock_free,
              "what a signal handler touches is lock-free");

std::array<struct sigaction, kMaxSignal> old_actions;

extern "C" void weft_on_signal(int signal) {
  const int saved_errno = rt::last_errno();
  const SignalMask bit = signal_bit(signal);
  if ((forcing.load(std::memory_order_acquire) & bit) != 0 &&
      forcing_seen.fetch_add(1, std::memory_order_relaxed) > 0) {
    [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, forced_text.data(), forced_text_size);
    ::_exit(128 + signal);
  }
  arrived.fetch_or(bit, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t n = ::write(event_fd.load(std::memory_order_acquire), &one, sizeof(one));
  rt::set_errno(saved_errno);
}

extern "C" void weft_on_sigpipe(int) {}

}  // namespace

SignalMask signal_mask(const std::vector<int>& signals) {
  SignalMask mask = 0;
  for (const int signal : signals) {
    struct sigaction current;
    const bool known = signal >= 1 && signal <= kMaxSignal && ::sigaction(signal, nullptr, &current) == 0;
    if (!known) panic("signal: there is no signal " + std::to_string(signal));
    if (signal == SIGKILL || signal == SIGSTOP) panic("signal: " + signal_name(signal) + " can't be caught");
    mask |= signal_bit(signal);
  }
  return mask;
}

std::string signal_name(int signal) {
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? "signal " + std::to_string(signal) : "SIG" + std::string(name);
}

int signal_event_fd() {
  static const int fd = [] {
    const int made = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (made < 0) throw std::system_error(rt::last_system_error(), "signal: eventfd");
    event_fd.store(made, std::memory_order_release);
    return made;
  }();
  return fd;
}

int duplicate_signal_event_fd() {
  const int fd = ::fcntl(signal_event_fd(), F_DUPFD_CLOEXEC, 0);
  if (fd < 0) throw std::system_error(rt::last_system_error(), "signal: eventfd");
  return fd;
}

void clear_signal_event() noexcept {
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t n = ::read(event_fd.load(std::memory_order_acquire), &count, sizeof(count));
}

SignalMask take_signals() noexcept { return arrived.exchange(0, std::memory_order_acquire); }

void hook_signal(int signal) {
  struct sigaction action = {};
  action.sa_handler = &weft_on_signal;
  // The handler runs on the alternate stack where there is one, because a goroutine's own stack may be nearly full.
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  ::sigemptyset(&action.sa_mask);
  if (::sigaction(signal, &action, &old_actions[static_cast<std::size_t>(signal - 1)]) != 0) {
    const std::error_code ec = rt::last_system_error();
    throw std::system_error(ec, "signal: sigaction " + signal_name(signal));
  }
}

void unhook_signal(int signal) noexcept {
  ::sigaction(signal, &old_actions[static_cast<std::size_t>(signal - 1)], nullptr);
}

ForcedExit::ForcedExit(SignalMask signals, std::string_view program) {
  const std::string text = std::string(program.substr(0, 48)) + ": second signal: exit at once\n";
  forced_text_size = std::min(text.size(), forced_text.size());
  std::memcpy(forced_text.data(), text.data(), forced_text_size);
  forcing_seen.store(0, std::memory_order_relaxed);
  forcing.store(signals, std::memory_order_release);
}

ForcedExit::~ForcedExit() { forcing.store(0, std::memory_order_release); }

NoSigpipe::NoSigpipe() noexcept {
  struct sigaction current = {};
  if (::sigaction(SIGPIPE, nullptr, &current) != 0 || current.sa_handler != SIG_DFL) return;
  struct sigaction action = {};
  action.sa_handler = &weft_on_sigpipe;
  action.sa_flags = SA_RESTART | SA_ONSTACK;
  changed_ = ::sigaction(SIGPIPE, &action, nullptr) == 0;
}

NoSigpipe::~NoSigpipe() {
  if (!changed_) return;
  struct sigaction action = {};
  action.sa_handler = SIG_DFL;
  ::sigaction(SIGPIPE, &action, nullptr);
}

}  // namespace weft::app::detail
