// A goroutine has a thread of its own, for what the kernel or a library keeps per thread.
// [own_thread]
#include <weft/chan.h>
#include <weft/go.h>

#include <sys/resource.h>

#include <cstdio>

int main() {
  return weft::run([] {
    auto numbers = weft::make_chan<int>(16);
    auto sum = weft::make_chan<int>();
    weft::go([=] {
      weft::lock_os_thread();              // for good: when the goroutine ends, its thread ends, too
      ::setpriority(PRIO_PROCESS, 0, 10);  // of this thread only: the other goroutines do not get slower
      int total = 0;
      for (int number : numbers) total += number;
      sum.send(total);
    });
    for (int i = 1; i <= 100; ++i) numbers.send(i);
    numbers.close();
    std::printf("%d\n", sum.recv().value_or(0));
  });
}
// [own_thread]
