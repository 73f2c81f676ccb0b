// What the C++ runtime stores about exceptions in flight belongs to the goroutine. std::current_exception and
// std::uncaught_exceptions are right after every park, also when the goroutine continues on another thread and others
// throw in between.
#include <atomic>
#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>

#include "support/matrix.h"
#include "weft/chan.h"
#include "weft/go.h"
#include "weft/wait_group.h"

namespace {

// The parks of all goroutines together. Sanitizers make a switch and a throw expensive.
#if defined(WEFT_TSAN)
constexpr int kParks = 1'600;
#elif defined(WEFT_ASAN)
constexpr int kParks = 10'000;
#else
constexpr int kParks = 100'000;
#endif
constexpr int kGoroutines = 8;
constexpr int kParksEach = kParks / kGoroutines;

// Counts the parks of a test, and those that ended on another thread.
struct Tally {
  std::atomic<int> parks{0};
  std::atomic<int> migrations{0};
};

// Suspends the goroutine. By turns it goes to the global queue, and waits until another goroutine has answered.
class Suspender {
 public:
  explicit Suspender(Tally& tally) : tally_(tally) {}

  void operator()(int turn) {
    const int before = weft::machine_id();
    if (turn % 2 == 0) {
      weft::yield();
    } else {
      auto answer = weft::make_chan<int>();
      weft::go([answer, turn]() mutable { answer.send(turn); });
      EXPECT_EQ(answer.recv(), turn);
    }
    tally_.parks.fetch_add(1, std::memory_order_relaxed);
    if (weft::machine_id() != before) tally_.migrations.fetch_add(1, std::memory_order_relaxed);
  }

 private:
  Tally& tally_;
};

// Returns the text of the exception that is being handled, or "none" without one.
std::string current_text() {
  const std::exception_ptr current = std::current_exception();
  if (current == nullptr) return "none";
  try {
    std::rethrow_exception(current);
  } catch (const std::exception& e) {
    return e.what();
  }
}

std::string text_of(int goroutine, int turn) { return std::to_string(goroutine) + "/" + std::to_string(turn); }

// Runs body(goroutine, suspender) in each goroutine, and again until some park has ended on another thread.
template <typename Body>
void in_goroutines(Body body) {
  Tally tally;
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  do {
    weft::WaitGroup all;
    for (int g = 0; g < kGoroutines; ++g) {
      all.go([&, g] {
        Suspender suspend(tally);
        body(g, suspend);
        EXPECT_EQ(std::uncaught_exceptions(), 0);
        EXPECT_EQ(std::current_exception(), nullptr);
      });
    }
    all.wait();
    ASSERT_GE(tally.parks.load(std::memory_order_relaxed), kParks);
    if (weft::testing::variant().procs == 1) return;
  } while (tally.migrations.load(std::memory_order_relaxed) == 0 && std::chrono::steady_clock::now() < end);
  EXPECT_GT(tally.migrations.load(std::memory_order_relaxed), 0);
}

WEFT_PROCS_TEST(ExceptionState, ParkInACatchBlock) {
  in_goroutines([](int g, Suspender& suspend) {
    for (int turn = 0; turn < kParksEach; ++turn) {
      try {
        throw std::runtime_error(text_of(g, turn));
      } catch (const std::exception& e) {
        suspend(turn);
        ASSERT_EQ(e.what(), text_of(g, turn));
        ASSERT_EQ(current_text(), text_of(g, turn));
        ASSERT_EQ(std::uncaught_exceptions(), 0);
      }
      ASSERT_EQ(std::current_exception(), nullptr);
    }
  });
}

// Catch blocks are nested in catch blocks. Each has its own exception back when the inner one is left.
WEFT_PROCS_TEST(ExceptionState, ParkInNestedCatchBlocks) {
  in_goroutines([](int g, Suspender& suspend) {
    for (int turn = 0; turn < kParksEach; turn += 2) {
      try {
        throw std::runtime_error(text_of(g, turn));
      } catch (const std::exception&) {
        try {
          throw std::logic_error(text_of(g, turn + 1));
        } catch (const std::exception&) {
          suspend(turn);
          ASSERT_EQ(current_text(), text_of(g, turn + 1));
        }
        suspend(turn + 1);
        ASSERT_EQ(current_text(), text_of(g, turn));
        ASSERT_EQ(std::uncaught_exceptions(), 0);
      }
    }
  });
}

// Parks when it is destroyed, while `expected` exceptions are in flight.
struct ParkInDestructor {
  Suspender& suspend;
  int turn;
  int expected;

  ~ParkInDestructor() {
    EXPECT_EQ(std::uncaught_exceptions(), expected);
    suspend(turn);
    EXPECT_EQ(std::uncaught_exceptions(), expected);
  }
};

WEFT_PROCS_TEST(ExceptionState, ParkInADestructorDuringUnwinding) {
  in_goroutines([](int g, Suspender& suspend) {
    for (int turn = 0; turn < kParksEach; ++turn) {
      try {
        const ParkInDestructor guard{suspend, turn, 1};
        throw std::runtime_error(text_of(g, turn));
      } catch (const std::exception&) {
        ASSERT_EQ(current_text(), text_of(g, turn));
        ASSERT_EQ(std::uncaught_exceptions(), 0);
      }
    }
  });
}

// A destructor that an exception runs throws and catches an exception of its own: two are in flight at once.
struct ThrowInDestructor {
  Suspender& suspend;
  int turn;
  std::string text;

  ~ThrowInDestructor() {
    try {
      const ParkInDestructor guard{suspend, turn, 2};
      throw std::runtime_error(text);
    } catch (const std::exception&) {
      EXPECT_EQ(std::uncaught_exceptions(), 1);
      suspend(turn + 1);
      EXPECT_EQ(current_text(), text);
      EXPECT_EQ(std::uncaught_exceptions(), 1);
    }
    EXPECT_EQ(std::current_exception(), nullptr);
  }
};

WEFT_PROCS_TEST(ExceptionState, ParkWhileTwoExceptionsAreOnTheirWay) {
  in_goroutines([](int g, Suspender& suspend) {
    for (int turn = 0; turn < kParksEach; turn += 2) {
      try {
        const ThrowInDestructor guard{suspend, turn, text_of(g, -turn)};
        throw std::runtime_error(text_of(g, turn));
      } catch (const std::exception&) {
        ASSERT_EQ(current_text(), text_of(g, turn));
        ASSERT_EQ(std::uncaught_exceptions(), 0);
      }
    }
  });
}

}  // namespace
