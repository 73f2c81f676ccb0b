// Sharded<T>: one T per processor, for what every goroutine writes and few read: counters, statistics, free lists.
//
//   weft::Sharded<std::atomic<std::uint64_t>> requests;
//   requests.get().fetch_add(1, std::memory_order_relaxed);        // on the hot path: a cache line of this processor
//   std::uint64_t total = 0;
//   requests.range([&](const auto& n) { total += n.load(std::memory_order_relaxed); });
//
// Thread safety: get() and range() may be called from any goroutine or plain thread, at the same time. T itself must
// bear concurrent use: a shard spares its users the contention, not the race. A goroutine may be on another processor
// by the time it uses what get() gave it. A thread that lost its processor to a long call may still be in the middle of
// using its shard. And range() visits shards that are in use. Atomics and types with a mutex of their own are fit.
// Lifetime: a reference stays valid as long as the Sharded. A Sharded may be made before a runtime runs, and used after
// it. When the number of processors changes, shards are added and none moves or goes.
// Blocking: never, except for the memory of new shards.
// Memory: a T and its padding to cache lines for each processor that used it, in blocks of 8, then 8, 16, 32 ...
#pragma once

#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <memory>
#include <type_traits>

namespace weft {

namespace detail {

class PoolCore;

// Shards below this one are for threads that hold no processor.
inline constexpr std::size_t kThreadShards = 8;

// Returns kThreadShards + the caller's processor. On a thread without one, returns a number below kThreadShards that
// stays the thread's.
std::size_t shard_number() noexcept;

}  // namespace detail

template <typename T>
class Sharded {
 public:
  Sharded() noexcept = default;
  ~Sharded();
  Sharded(const Sharded&) = delete;
  Sharded& operator=(const Sharded&) = delete;

  // Returns the shard of the caller's processor, which is T() at first. T's constructor may run for shards that nobody
  // asked for, and for some that are dropped at once, so it should have no effect but its T. Throws std::bad_alloc, or
  // what the constructor throws.
  T& get() { return shard(detail::shard_number()); }

  // Calls visit(T&) for every shard there is: each that get() ever returned, and neighbours that are still as they were
  // made. A shard that is made meanwhile may be left out.
  template <typename Visit>
  void range(Visit&& visit);
  template <typename Visit>
  void range(Visit&& visit) const;

 private:
  friend class detail::PoolCore;  // it numbers its shards itself

  static constexpr std::size_t kCacheLine = 64;

  struct alignas(kCacheLine > alignof(T) ? kCacheLine : alignof(T)) Shard {
    T value{};
  };

  // Block 0 holds the shards [0, 8), block b > 0 those of [2^(b+2), 2^(b+3)). That is enough for 1024 processors and
  // the threads.
  static constexpr std::size_t kBlocks = 9;
  static constexpr std::size_t kFirstBits = std::bit_width(detail::kThreadShards) - 1;
  static_assert(detail::kThreadShards == std::size_t{1} << kFirstBits);

  static std::size_t block_of(std::size_t number) noexcept {
    return static_cast<std::size_t>(std::bit_width(number >> kFirstBits));
  }
  static std::size_t first_of(std::size_t block) noexcept {
    return block == 0 ? 0 : std::size_t{1} << (kFirstBits + block - 1);
  }
  static std::size_t size_of(std::size_t block) noexcept {
    return block == 0 ? detail::kThreadShards : first_of(block);
  }

  T& shard(std::size_t number) {
    const std::size_t block = block_of(number);
    // Acquire: the shards are seen as their maker left them.
    Shard* shards = blocks_[block].load(std::memory_order_acquire);
    if (shards == nullptr) [[unlikely]] {
      shards = add_block(block);
    }
    return shards[number - first_of(block)].value;
  }
  Shard* add_block(std::size_t block);

  std::array<std::atomic<Shard*>, kBlocks> blocks_{};  // each goes from null to its block once
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename T>
Sharded<T>::~Sharded() {
  for (const auto& block : blocks_) delete[] block.load(std::memory_order_acquire);
}

template <typename T>
typename Sharded<T>::Shard* Sharded<T>::add_block(std::size_t block) {
  auto made = std::make_unique<Shard[]>(size_of(block));
  Shard* there = nullptr;
  // Of several callers that find the block missing, one puts its own in; the others take that one and drop theirs.
  if (blocks_[block].compare_exchange_strong(there, made.get(), std::memory_order_acq_rel, std::memory_order_acquire)) {
    return made.release();
  }
  return there;
}

template <typename T>
template <typename Visit>
void Sharded<T>::range(Visit&& visit) {
  for (std::size_t block = 0; block < kBlocks; ++block) {
    Shard* const shards = blocks_[block].load(std::memory_order_acquire);
    if (shards == nullptr) continue;
    for (std::size_t i = 0; i < size_of(block); ++i) visit(shards[i].value);
  }
}

template <typename T>
template <typename Visit>
void Sharded<T>::range(Visit&& visit) const {
  for (std::size_t block = 0; block < kBlocks; ++block) {
    const Shard* const shards = blocks_[block].load(std::memory_order_acquire);
    if (shards == nullptr) continue;
    for (std::size_t i = 0; i < size_of(block); ++i) visit(shards[i].value);
  }
}

}  // namespace weft
