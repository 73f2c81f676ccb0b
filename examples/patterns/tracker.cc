// An event tracker that loses nothing at shutdown: it stores what it accepted, and a sender that is not accepted is
// told.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/sync.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <functional>
#include <mutex>
#include <utility>
#include <variant>
#include <vector>

using namespace std::chrono_literals;

namespace {

// [tracker]
using Event = int;

// Stores events in the background, one after the other, in a goroutine of its own.
//
// Thread safety: any number of goroutines may call track() and shutdown(). All their calls must have returned before
// the tracker is destroyed.
class Tracker {
 public:
  // At most `room` events wait to be stored.
  Tracker(std::function<void(Event)> store, std::size_t room) : events_(weft::make_chan<Event>(room)) {
    storing_.go([this, store = std::move(store)] {
      for (const Event event : events_) store(event);
      stored_.close();
    });
  }

  // Waits until everything that was accepted is stored, however long that takes.
  ~Tracker() {
    static_cast<void>(shutdown(weft::background()));
    storing_.wait();
  }

  // Waits for room and accepts the event, which will then be stored. Returns an error when ctx ends first, or when
  // shutdown() was called before; then the event will not be stored.
  weft::Error track(const weft::Context& ctx, Event event) {
    {
      const std::lock_guard lock(mutex_);
      if (stopping_) return weft::Error::text("the tracker is shut down");
      ++inside_;
    }
    const bool accepted = weft::select(weft::on_send(events_, event), weft::on_recv(ctx.done())) == 0;
    const std::lock_guard lock(mutex_);
    if (--inside_ == 0 && stopping_) events_.close();
    return accepted ? weft::Error() : ctx.err();
  }

  // Lets no more events in, and returns when the accepted ones are stored. Returns an error when ctx ends first; then
  // the storing goes on, and shutdown() may be called again.
  weft::Error shutdown(const weft::Context& ctx) {
    {
      const std::lock_guard lock(mutex_);
      if (!std::exchange(stopping_, true) && inside_ == 0) events_.close();
    }
    return weft::select(weft::on_recv(stored_), weft::on_recv(ctx.done())) == 0 ? weft::Error() : ctx.err();
  }

 private:
  // A send on a closed channel is a panic, so the last one out closes events_: whoever makes it true that stopping_ is
  // set and nobody is inside. This happens once, for nobody enters after stopping_ is set.
  weft::Mutex mutex_;
  bool stopping_ = false;
  int inside_ = 0;  // calls of track() that are between their two locks

  const weft::Chan<Event> events_;
  const weft::Chan<std::monostate> stored_ = weft::make_chan<std::monostate>();  // closed when everything is stored
  weft::WaitGroup storing_;
};
// [tracker]

void shut_down_under_load() {
  std::vector<Event> stored;
  const auto busy = weft::make_chan<std::monostate>();
  Tracker tracker(
      [&](Event event) {
        stored.push_back(event);
        if (stored.size() == 100) busy.close();
      },
      4);

  constexpr Event kPerSender = 1000;
  std::vector<std::vector<Event>> accepted(8);
  weft::WaitGroup senders;
  for (std::size_t s = 0; s < accepted.size(); ++s) {
    senders.go([&tracker, &mine = accepted[s], first = static_cast<Event>(s) * kPerSender] {
      for (Event event = first; event < first + kPerSender; ++event) {
        if (tracker.track(weft::background(), event)) return;
        mine.push_back(event);
      }
    });
  }
  busy.recv();
  const weft::Error error = tracker.shutdown(weft::background());
  std::printf("late: %s\n", tracker.track(weft::background(), -1).message().c_str());
  senders.wait();

  std::vector<Event> all;
  for (const auto& events : accepted) all.insert(all.end(), events.begin(), events.end());
  std::sort(all.begin(), all.end());
  std::sort(stored.begin(), stored.end());
  std::printf("accepted and stored: %s\n", !error && all == stored ? "the same" : "not the same");
}

void run_out_of_time() {
  int stored = 0;
  const auto gate = weft::make_chan<std::monostate>();
  Tracker tracker(
      [&](Event) {
        gate.recv();
        ++stored;
      },
      1);

  // One event is being stored, one waits, and there is no room for another.
  for (const Event event : {1, 2}) {
    if (tracker.track(weft::background(), event)) std::printf("%d was not accepted\n", event);
  }
  auto [brief, cancel] = weft::with_timeout(weft::background(), 1ms);
  std::printf("no room: %s\n", tracker.track(brief, 3).message().c_str());
  std::printf("no end: %s\n", tracker.shutdown(brief).message().c_str());
  cancel();
  gate.close();
  const weft::Error error = tracker.shutdown(weft::background());
  std::printf("in the end: %s, %d stored\n", error ? error.message().c_str() : "shut down", stored);
}

}  // namespace

int main() {
  return weft::run([] {
    shut_down_under_load();
    run_out_of_time();
  });
}
