// Waiting for a descriptor that belongs to somebody else: here a timerfd stands for the socket of a client library.
// [pollable]
#include <weft/go.h>
#include <weft/io/pollable.h>

#include <sys/timerfd.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>

int main() {
  return weft::run([] {
    const int fd = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
    const itimerspec in_ten_ms{.it_interval = {}, .it_value = {.tv_sec = 0, .tv_nsec = 10'000'000}};
    ::timerfd_settime(fd, 0, &in_ten_ms, nullptr);

    const auto pollable = weft::io::Pollable::make(fd);
    if (!pollable) {
      std::fprintf(stderr, "%s\n", pollable.error().message().c_str());
      return 1;
    }
    // The goroutine waits here. Its thread runs others meanwhile.
    if (const std::error_code ec = pollable->wait_readable()) {
      std::fprintf(stderr, "%s\n", ec.message().c_str());
      return 1;
    }
    std::uint64_t expirations = 0;
    const ssize_t n = ::read(fd, &expirations, sizeof(expirations));
    std::printf("%s\n", n == sizeof(expirations) && expirations == 1 ? "expired once" : "?");
    ::close(fd);  // the descriptor stays the program's
    return 0;
  });
}
// [pollable]
