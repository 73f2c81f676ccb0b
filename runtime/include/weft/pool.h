// Pool<T> keeps objects that are expensive to make and needed for a moment, such as buffers or encoders, for the next
// user (Go's sync.Pool).
//
//   weft::Pool<std::vector<char>> buffers([] { return std::vector<char>(64 * 1024); });
//   auto buffer = buffers.get();                            // goes back at the end of the scope, as it is then
//   read_into(*buffer);
//
// Thread safety: the pool may be used from any goroutine or plain thread; an object belongs to whoever has its lease.
// Lifetime: the pool must outlive its leases. It destroys the objects that lie in it. It may outlive the runtime.
// Blocking: the pool itself never blocks for long. The function that makes objects and their destructors may block.
// They run without locks, in the caller of get(), put() or trim(), or at the end of a lease.
// Ordering: what was done with an object before it went back happens before the get() that returns it.
// Order: none is promised. Objects stay near the processor that returned them, and the latest goes first. Where a
// processor has none, the oldest object of another processor goes.
// Trimming: an object that nobody took for two trim periods is destroyed, by whoever uses the pool then. So a pool that
// nobody uses is trimmed only by trim(). At the latest, an object goes with the pool.
#pragma once

#include <chrono>
#include <concepts>
#include <functional>
#include <memory>
#include <utility>

#include <weft/detail/pool_core.h>

namespace weft {

struct PoolOptions {
  // See "Trimming". The period is of real time, also in a test's bubble. Zero or less: only trim() trims.
  std::chrono::nanoseconds trim_period = std::chrono::minutes(1);
};

template <typename T>
class Pool {
  struct Item : detail::PoolItem {
    template <typename F>
    Item(std::in_place_t, F&& make) : value(std::forward<F>(make)()) {}
    T value;
  };

 public:
  // Owns an object, and returns it at the end of the lease. A lease can be moved; it is empty when moved from. One
  // goroutine at a time may use it.
  class Lease {
   public:
    Lease() noexcept = default;
    Lease(Lease&& other) noexcept : pool_(other.pool_), item_(std::exchange(other.item_, nullptr)) {}
    Lease& operator=(Lease&& other) noexcept {
      Lease(std::move(other)).swap(*this);
      return *this;
    }
    ~Lease() { give_back(); }

    // The lease may not be empty. A lease without a name would end, and give the object back, before the reference is
    // used: `auto buffer = pool.get();` keeps it.
    T& operator*() const& noexcept { return item_->value; }
    T& operator*() const&& = delete;
    T* operator->() const noexcept { return std::addressof(item_->value); }
    explicit operator bool() const noexcept { return item_ != nullptr; }

    // Returns the object now; the lease is empty then.
    void give_back() noexcept {
      if (item_ != nullptr) pool_->core_.put(std::exchange(item_, nullptr));
    }
    // Destroys the object instead of returning it, for one that has grown too large to keep, or is broken.
    void discard() noexcept { delete std::exchange(item_, nullptr); }

    void swap(Lease& other) noexcept {
      std::swap(pool_, other.pool_);
      std::swap(item_, other.item_);
    }

   private:
    friend class Pool;
    Lease(Pool& pool, Item* item) noexcept : pool_(&pool), item_(item) {}

    Pool* pool_ = nullptr;
    Item* item_ = nullptr;
  };

  // Makes objects by T().
  explicit Pool(PoolOptions options = {}) requires std::default_initializable<T> : Pool([] { return T(); }, options) {}
  // Makes objects by make(), which may be called from any goroutine or thread, also at the same time.
  explicit Pool(std::function<T()> make, PoolOptions options = {})
      : make_(std::move(make)),
        core_(options.trim_period, [](detail::PoolItem* item) { delete static_cast<Item*>(item); }) {}
  Pool(const Pool&) = delete;
  Pool& operator=(const Pool&) = delete;

  // Returns an object that lies in the pool, as its last user left it, or a new one. Throws std::bad_alloc, and what
  // making one throws.
  [[nodiscard]] Lease get() {
    detail::PoolItem* const item = core_.take();
    return Lease(*this, item != nullptr ? static_cast<Item*>(item) : new Item(std::in_place, make_));
  }

  // Adds an object that was made elsewhere. Throws std::bad_alloc, and what T's move throws.
  void put(T value) requires std::move_constructible<T> {
    core_.put(new Item(std::in_place, [&value]() -> T&& { return std::move(value); }));
  }

  // Ends a trim period now. Destroys the objects that were not used since the end of the last period. Objects that were
  // used since then are destroyed by the next call, unless they are used before it. While another thread trims, that
  // trim is the end of this period, too, and the call returns.
  void trim() noexcept { core_.trim(); }

 private:
  const std::function<T()> make_;
  detail::PoolCore core_;
};

}  // namespace weft
