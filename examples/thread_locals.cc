// errno in a goroutine: it is read where the call was made, and handed on as a value.
#include <weft/go.h>
#include <weft/wait_group.h>

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

// [errno]
struct Opened {
  int fd;
  int error;  // errno, if fd is -1
};

// Not inlined: the caller parks between its calls, and this function looks up the address of errno anew in each call.
[[gnu::noinline]] Opened open_for_reading(const char* path) {
  const int fd = ::open(path, O_RDONLY | O_CLOEXEC);
  return {fd, fd < 0 ? errno : 0};
}
// [errno]

int main() {
  return weft::run([] {
    weft::WaitGroup all;
    for (const char* const path : {"/", "/no/such/file"}) {
      all.go([path] {
        for (int i = 0; i < 3; ++i) {
          const Opened opened = open_for_reading(path);
          if (opened.fd >= 0) ::close(opened.fd);
          weft::yield();  // the next turn may be on another thread
          if (i == 2) std::printf("%s: %s\n", path, opened.error == 0 ? "opened" : std::strerror(opened.error));
        }
      });
    }
    all.wait();
  });
}
