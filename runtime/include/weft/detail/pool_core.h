// Not part of the API: Pool<T> without its T. sync/pool.cc has the rest.
#pragma once

#include <chrono>
#include <memory>

namespace weft::detail {

// The head of an object that lies in a pool; whoever has the item owns it.
struct PoolItem {
  PoolItem* next = nullptr;
  PoolItem* prev = nullptr;
};

class PoolCore {
 public:
  using Destroy = void (*)(PoolItem* item);

  PoolCore(std::chrono::nanoseconds trim_period, Destroy destroy);
  ~PoolCore();
  PoolCore(const PoolCore&) = delete;
  PoolCore& operator=(const PoolCore&) = delete;

  // Returns an item; null when the pool has none.
  PoolItem* take() noexcept;
  void put(PoolItem* item) noexcept;
  void trim() noexcept;

 private:
  struct State;
  const std::unique_ptr<State> state_;
};

}  // namespace weft::detail
