// A program of goroutines alone. It uses what has templates, so that the consumer's compiler sees their bodies.
#include <cstdio>
#include <mutex>
#include <optional>
#include <shared_mutex>
#include <string>

#include <weft/chan.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/thread_annotations.h>

namespace {

class Sum {
 public:
  void add(int n) {
    const weft::LockGuard lock(mutex_);
    sum_ += n;
  }
  int get() const {
    const weft::SharedLockGuard lock(mutex_);
    return sum_;
  }

 private:
  mutable weft::RWMutex mutex_;
  int sum_ WEFT_GUARDED_BY(mutex_) = 0;
};

// Returns 1 + 2 + ... + 10, summed by goroutines over a channel and a select.
int sum_of_numbers() {
  Sum sum;
  auto numbers = weft::make_chan<int>();
  auto done = weft::make_chan<bool>(1);
  weft::WaitGroup senders;
  for (int i = 1; i <= 10; ++i) senders.go([=] { numbers.send(i); });
  weft::go([&, senders_done = done] {
    senders.wait();
    senders_done.send(true);
  });
  for (bool more = true; more;) {
    weft::select(weft::on_recv(numbers, [&](std::optional<int> n) { sum.add(n.value_or(0)); }),
                 weft::on_recv(done, [&](std::optional<bool>) { more = false; }));
  }
  return sum.get();
}

// Returns 6: each primitive gives 1.
int sum_of_primitives() {
  weft::ConcurrentMap<std::string, int> map;
  map.store("one", 1);
  weft::AtomicValue<int> value(1);
  weft::Pool<int> pool([] { return 1; });
  weft::SingleFlight<std::string, int> flights;
  const auto once = weft::once_value([] { return 1; });
  weft::Mutex mutex;
  weft::Cond changed(mutex);
  const std::unique_lock lock(mutex);
  changed.wait([] { return true; });
  weft::RWMutex rw_mutex;
  const std::shared_lock shared(rw_mutex);
  auto one = pool.get();
  return map.load("one").value_or(0) + *value.load() + *one + flights.do_call("one", [] { return 1; }).value + once() +
         (weft::Semaphore(1).try_acquire() ? 1 : 0);
}

}  // namespace

int main() {
  return weft::run([] {
    const int sum = sum_of_numbers();
    const int primitives = sum_of_primitives();
    std::printf("sum %d, primitives %d\n", sum, primitives);
    return sum == 55 && primitives == 6 ? 0 : 1;
  });
}
