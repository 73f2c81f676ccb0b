#include "runtime/src/symbols/debug_root.h"

#include <cstddef>
#include <cstring>

#include "runtime/src/sched/goroutine.h"
#include "runtime/src/sched/park.h"
#include "runtime/src/sched/stack_pool.h"

// G has a base class; where its members lie is fixed all the same, with every compiler that weft is built with.
#pragma GCC diagnostic ignored "-Winvalid-offsetof"

namespace weft::rt {
namespace {

static_assert(sizeof(SlabRecord) == 4 * 8 && sizeof(void*) == 8);
static_assert(sizeof(DebugRoot) == (17 + DebugRoot::kMaxStates + DebugRoot::kMaxWaitReasons) * 8);
static_assert(sizeof(WaitReason) == 1 && sizeof(G::since) == 8 && sizeof(G::creator_line) == 4 &&
              sizeof(G::state) == 8);

bool fill_wait_reasons() noexcept {
  for (std::size_t i = 0; i < DebugRoot::kMaxWaitReasons; ++i) {
    const char* const text = wait_reason_text(static_cast<WaitReason>(i));
    if (std::strcmp(text, "???") == 0) break;
    weft_debug_root.wait_reasons[i] = text;
  }
  return true;
}

}  // namespace

void prepare_debug_root() noexcept { [[maybe_unused]] static const bool filled = fill_wait_reasons(); }

}  // namespace weft::rt

// It is `used`, because with link-time optimisation the compiler sees that the program reads none of it.
extern "C" {
[[gnu::used]] constinit weft::rt::DebugRoot weft_debug_root{
    .version = weft::rt::DebugRoot::kVersion,
    .slabs = &weft::rt::first_slab_record,
    .goroutine_below_top = weft::rt::goroutine_offset(sizeof(weft::rt::G), 0),
    .colours = weft::rt::kSlotColours,
    .colour_step = weft::rt::kSlotColourStep,
    .state = offsetof(weft::rt::G, state),
    .status_mask = weft::rt::G::kStatusMask,
    .saved_sp = offsetof(weft::rt::G, fiber) + offsetof(weft::rt::Fiber, sp),
    .entry = offsetof(weft::rt::G, entry),
    .stack_low = offsetof(weft::rt::G, stack_low),
    .id = offsetof(weft::rt::G, id),
    .parent_id = offsetof(weft::rt::G, parent_id),
    .reason = offsetof(weft::rt::G, reason),
    .since = offsetof(weft::rt::G, since),
    .creator_file = offsetof(weft::rt::G, creator_file),
    .creator_function = offsetof(weft::rt::G, creator_function),
    .creator_line = offsetof(weft::rt::G, creator_line),
    .states = {weft::rt::kStatusTexts[0], weft::rt::kStatusTexts[1], weft::rt::kStatusTexts[2],
               weft::rt::kStatusTexts[3]},
    .wait_reasons = {},
};
}  // extern "C"
