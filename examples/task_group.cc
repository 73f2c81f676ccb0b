// A goroutine belongs to an object: it ends before the object does.
// [task_group]
#include <weft/context.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/sync.h>
#include <weft/task_group.h>
#include <weft/time.h>

#include <chrono>
#include <cstddef>
#include <cstdio>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// Writes lines out every ten milliseconds, and writes what is left of them at the end.
class Journal {
 public:
  explicit Journal(std::size_t& written) : written_(written) {
    writer_.go([this](weft::Context ctx) {
      const weft::Ticker ticker(10ms);
      while (weft::select(weft::on_recv(ticker.chan()), weft::on_recv(ctx.done())) == 0) write_out();
      write_out();  // the journal ends
    });
  }

  void append(std::string line) {
    const std::lock_guard lock(mutex_);
    lines_.push_back(std::move(line));
  }

 private:
  void write_out() {
    const std::lock_guard lock(mutex_);
    written_ += lines_.size();
    lines_.clear();
  }

  std::size_t& written_;
  weft::Mutex mutex_;
  std::vector<std::string> lines_;
  weft::TaskGroup writer_;  // the last member, so that its goroutine ends while the other members still exist
};

int main() {
  return weft::run([] {
    std::size_t written = 0;
    {
      Journal journal(written);
      for (int i = 1; i <= 100; ++i) journal.append("line " + std::to_string(i));
    }
    std::printf("%zu lines\n", written);
  });
}
// [task_group]
