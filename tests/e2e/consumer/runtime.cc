#include <atomic>
#include <cstdio>

#include <weft/go.h>
#include <weft/sync.h>

int main() {
  return weft::run([] {
    std::atomic<int> sum = 0;
    weft::WaitGroup wg;
    wg.add(10);
    for (int i = 1; i <= 10; ++i) {
      weft::go([&, i] {
        sum += i;
        wg.done();
      });
    }
    wg.wait();
    std::printf("sum %d\n", sum.load());
    return sum == 55 ? 0 : 1;
  });
}
