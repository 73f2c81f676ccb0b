// ConcurrentMap<K, V>: a hash map that goroutines share (Go's sync.Map).
//
//   weft::ConcurrentMap<std::string, std::shared_ptr<Session>> sessions;
//   auto [session, loaded] = sessions.load_or_store(id, fresh);
//   sessions.range([&](const std::string& id, const auto& s) { if (s->expired()) sessions.erase(id); return true; });
//
// Thread safety: every operation may be called from any goroutine or plain thread. Each operation acts on its key at
// one moment; range(), clear() and size() do not act at a single moment.
// Blocking: an operation waits while another one is in the same shard (a goroutine parks, a plain thread sleeps).
// Elements: values go in and out by copy or move, so large ones are better held by a std::shared_ptr. Operations that
// copy or compare values exist only for types that can be copied or compared. Hash must not throw. Keys and values are
// copied, moved and compared while a shard is locked, and must not use the map then. Their destructors (unless a copy
// throws) and the function given to range() run without locks and may use it.
// Ordering: what was stored happens before a load that returns it.
//
// How it works: a key's hash decides in which shard the key lies, for ever. A shard is a std::unordered_map and its
// mutex. Operations on keys of different shards don't meet.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <thread>
#include <type_traits>
#include <unordered_map>
#include <utility>
#include <vector>

#include <weft/lock_guard.h>
#include <weft/mutex.h>

namespace weft {

struct ConcurrentMapOptions {
  // The number of shards, rounded up to a power of two between 2 and 65536. With more shards, operations meet more
  // seldom; each takes 128 bytes. 0: eight for each CPU of the machine, at least 16.
  std::size_t shards = 0;
};

namespace detail {

inline std::size_t map_shards(const ConcurrentMapOptions& options) noexcept {
  static const std::size_t by_default = std::max<std::size_t>(16, 8 * std::size_t{std::thread::hardware_concurrency()});
  return std::bit_ceil(std::clamp<std::size_t>(options.shards != 0 ? options.shards : by_default, 2, 65536));
}

}  // namespace detail

// What load_or_store() found or left.
template <typename V>
struct LoadOrStore {
  V actual;
  bool loaded = false;  // the value was there before
};

template <typename K, typename V, typename Hash = std::hash<K>, typename Equal = std::equal_to<K>>
class ConcurrentMap {
  static_assert(std::movable<V>, "a map's values are replaced");

 public:
  using key_type = K;
  using mapped_type = V;

  ConcurrentMap() : ConcurrentMap(ConcurrentMapOptions()) {}
  explicit ConcurrentMap(const ConcurrentMapOptions& options)
      : shift_(64 - std::countr_zero(detail::map_shards(options))), shards_(detail::map_shards(options)) {}
  ConcurrentMap(const ConcurrentMap&) = delete;
  ConcurrentMap& operator=(const ConcurrentMap&) = delete;

  // Returns the key's value; nothing when the key has none.
  std::optional<V> load(const K& key) const requires std::copy_constructible<V>;
  bool contains(const K& key) const;

  void store(const K& key, V value) { static_cast<void>(swap(key, std::move(value))); }

  // Returns the key's value if it has one; else stores `value` and returns that.
  LoadOrStore<V> load_or_store(const K& key, V value) requires std::copy_constructible<V>;

  // Removes the key, and returns the value that it had.
  std::optional<V> load_and_delete(const K& key);
  // Removes the key, and says whether it was there.
  bool erase(const K& key) { return load_and_delete(key).has_value(); }

  // Stores a value, and returns the one that was there before.
  std::optional<V> swap(const K& key, V value);

  // Stores `desired` if the key's value equals `expected`, and says whether it did. A key without a value never
  // matches.
  bool compare_and_swap(const K& key, const V& expected, V desired) requires std::equality_comparable<V>;
  // Removes the key if its value equals `expected`, and says whether it did.
  bool compare_and_delete(const K& key, const V& expected) requires std::equality_comparable<V>;

  // Calls visit(key, value) for each key, until visit returns false. The call is no snapshot. A key that is there
  // during the whole call is visited once. A key that is stored or removed meanwhile is visited once or not at all,
  // with any value that it had during the call. No lock is held while visit runs, so visit may use the map. The entries
  // are copied, one shard at a time.
  template <typename Visit>
  void range(Visit&& visit) const requires std::copy_constructible<K> && std::copy_constructible<V>;

  // Removes all keys that are there at the call, and perhaps some that are stored meanwhile.
  void clear();

  // Returns the number of keys. While operations are under way, the count of each shard is of some moment. Takes no
  // locks.
  std::size_t size() const noexcept;

 private:
  // A key and its hash, so that the key is hashed once for the shard and the table.
  struct Hashed {
    const K& key;
    std::size_t hash;
  };
  struct TableHash {
    using is_transparent = void;
    [[no_unique_address]] Hash hash;
    std::size_t operator()(const K& key) const { return hash(key); }
    std::size_t operator()(const Hashed& key) const noexcept { return key.hash; }
  };
  struct TableEqual {
    using is_transparent = void;
    [[no_unique_address]] Equal equal;
    bool operator()(const K& a, const K& b) const { return equal(a, b); }
    bool operator()(const Hashed& a, const K& b) const { return equal(a.key, b); }
    bool operator()(const K& a, const Hashed& b) const { return equal(a, b.key); }
  };
  using Table = std::unordered_map<K, V, TableHash, TableEqual>;

  struct alignas(64) Shard {
    mutable Mutex mutex;
    Table table WEFT_GUARDED_BY(mutex);
    std::atomic<std::size_t> size{0};  // of the table; written under the mutex

    void note_size_locked() noexcept WEFT_REQUIRES(mutex) { size.store(table.size(), std::memory_order_relaxed); }
  };

  Hashed hashed(const K& key) const noexcept { return {key, Hash()(key)}; }
  // The tables use the low bits of the hash, which may be as plain as the number itself. The multiplication brings all
  // bits into the high ones.
  std::size_t shard_index(std::size_t hash) const noexcept {
    constexpr std::uint64_t kGolden = 0x9E37'79B9'7F4A'7C15;
    return static_cast<std::size_t>((std::uint64_t{hash} * kGolden) >> shift_);
  }
  Shard& shard_of(const Hashed& key) noexcept { return shards_[shard_index(key.hash)]; }
  const Shard& shard_of(const Hashed& key) const noexcept { return shards_[shard_index(key.hash)]; }

  const int shift_;  // 64 minus the bits of a shard's index
  std::vector<Shard> shards_;
};

// ---------------------------------------------------------------------------------------------------------------------

template <typename K, typename V, typename Hash, typename Equal>
std::optional<V> ConcurrentMap<K, V, Hash, Equal>::load(const K& key) const requires std::copy_constructible<V> {
  const Hashed wanted = hashed(key);
  const Shard& shard = shard_of(wanted);
  const LockGuard lock(shard.mutex);
  const auto at = shard.table.find(wanted);
  if (at == shard.table.end()) return std::nullopt;
  return at->second;
}

template <typename K, typename V, typename Hash, typename Equal>
bool ConcurrentMap<K, V, Hash, Equal>::contains(const K& key) const {
  const Hashed wanted = hashed(key);
  const Shard& shard = shard_of(wanted);
  const LockGuard lock(shard.mutex);
  return shard.table.contains(wanted);
}

template <typename K, typename V, typename Hash, typename Equal>
LoadOrStore<V> ConcurrentMap<K, V, Hash, Equal>::load_or_store(const K& key,
                                                               V value) requires std::copy_constructible<V> {
  const Hashed wanted = hashed(key);
  Shard& shard = shard_of(wanted);
  const LockGuard lock(shard.mutex);
  if (const auto at = shard.table.find(wanted); at != shard.table.end()) return {at->second, true};
  LoadOrStore<V> stored{value, false};
  shard.table.emplace(key, std::move(value));
  shard.note_size_locked();
  return stored;
}

template <typename K, typename V, typename Hash, typename Equal>
std::optional<V> ConcurrentMap<K, V, Hash, Equal>::load_and_delete(const K& key) {
  const Hashed wanted = hashed(key);
  Shard& shard = shard_of(wanted);
  typename Table::node_type removed;  // destroyed when the lock is released
  const LockGuard lock(shard.mutex);
  const auto at = shard.table.find(wanted);
  if (at == shard.table.end()) return std::nullopt;
  removed = shard.table.extract(at);
  shard.note_size_locked();
  return std::move(removed.mapped());
}

template <typename K, typename V, typename Hash, typename Equal>
std::optional<V> ConcurrentMap<K, V, Hash, Equal>::swap(const K& key, V value) {
  const Hashed wanted = hashed(key);
  Shard& shard = shard_of(wanted);
  const LockGuard lock(shard.mutex);
  if (const auto at = shard.table.find(wanted); at != shard.table.end()) {
    using std::swap;
    swap(at->second, value);
    return value;
  }
  shard.table.emplace(key, std::move(value));
  shard.note_size_locked();
  return std::nullopt;
}

template <typename K, typename V, typename Hash, typename Equal>
bool ConcurrentMap<K, V, Hash, Equal>::compare_and_swap(const K& key, const V& expected,
                                                        V desired) requires std::equality_comparable<V> {
  const Hashed wanted = hashed(key);
  Shard& shard = shard_of(wanted);
  const LockGuard lock(shard.mutex);
  const auto at = shard.table.find(wanted);
  if (at == shard.table.end() || !(at->second == expected)) return false;
  using std::swap;
  swap(at->second, desired);  // the old value is destroyed with the parameter
  return true;
}

template <typename K, typename V, typename Hash, typename Equal>
bool ConcurrentMap<K, V, Hash, Equal>::compare_and_delete(const K& key,
                                                          const V& expected) requires std::equality_comparable<V> {
  const Hashed wanted = hashed(key);
  Shard& shard = shard_of(wanted);
  typename Table::node_type removed;  // destroyed when the lock is released
  const LockGuard lock(shard.mutex);
  const auto at = shard.table.find(wanted);
  if (at == shard.table.end() || !(at->second == expected)) return false;
  removed = shard.table.extract(at);
  shard.note_size_locked();
  return true;
}

// A key never changes its shard, and each shard is copied once. So no key is visited twice, and no key that stays is
// left out.
template <typename K, typename V, typename Hash, typename Equal>
template <typename Visit>
void ConcurrentMap<K, V, Hash, Equal>::range(
    Visit&& visit) const requires std::copy_constructible<K> && std::copy_constructible<V> {
  for (const Shard& shard : shards_) {
    std::vector<std::pair<K, V>> entries;
    {
      const LockGuard lock(shard.mutex);
      entries.reserve(shard.table.size());
      for (const auto& [key, value] : shard.table) entries.emplace_back(key, value);
    }
    for (const auto& [key, value] : entries) {
      if (!visit(key, value)) return;
    }
  }
}

template <typename K, typename V, typename Hash, typename Equal>
void ConcurrentMap<K, V, Hash, Equal>::clear() {
  for (Shard& shard : shards_) {
    Table removed;  // destroyed when the lock is released
    const LockGuard lock(shard.mutex);
    shard.table.swap(removed);
    shard.note_size_locked();
  }
}

template <typename K, typename V, typename Hash, typename Equal>
std::size_t ConcurrentMap<K, V, Hash, Equal>::size() const noexcept {
  std::size_t sum = 0;
  for (const Shard& shard : shards_) sum += shard.size.load(std::memory_order_relaxed);
  return sum;
}

}  // namespace weft
