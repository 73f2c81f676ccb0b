// Goroutines, a channel and a wait group: squares computed by four workers.
// [fan_out]
#include <weft/chan.h>
#include <weft/go.h>
#include <weft/sync.h>

#include <cstdio>

int main() {
  return weft::run([] {
    auto jobs = weft::make_chan<int>(16);
    auto squares = weft::make_chan<int>(16);

    weft::WaitGroup workers;
    for (int w = 0; w < 4; ++w) {
      workers.go([=] {
        for (int job : jobs) squares.send(job * job);
      });
    }
    weft::go([=] {
      for (int i = 1; i <= 100; ++i) jobs.send(i);
      jobs.close();
    });
    weft::go([&workers, squares] {
      workers.wait();
      squares.close();
    });

    int sum = 0;
    for (int square : squares) sum += square;
    std::printf("%d\n", sum);
  });
}
// [fan_out]
