#include "runtime/src/base/seed.h"

#include <cstdlib>
#include <random>

namespace weft::rt {

std::uint64_t schedule_seed() noexcept {
  static const std::uint64_t seed = [] {
    if (const char* const text = std::getenv("WEFT_SEED")) return std::uint64_t{std::strtoull(text, nullptr, 10)};
    return std::uint64_t{std::random_device{}()};
  }();
  return seed;
}

}  // namespace weft::rt
