// The seed of this process's random choices: WEFT_SEED when that is set, so that a run with the same choices can be
// asked for.
#pragma once

#include <cstdint>

namespace weft::rt {

std::uint64_t schedule_seed() noexcept;

}  // namespace weft::rt
