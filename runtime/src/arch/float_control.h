// Debug builds find goroutines that park with changed floating-point control words. These words belong to the thread,
// so other goroutines would compute with the change, and this goroutine, on another thread, would compute without it.
#pragma once

#include <cstdint>

namespace weft::rt {

// Returns the control words of the calling thread: rounding, exception masks, flush to zero; not the sticky flags.
inline std::uint64_t float_control() noexcept {
#if defined(__x86_64__)
  std::uint32_t mxcsr = 0;
  std::uint16_t x87 = 0;
  asm volatile("stmxcsr %0\n\tfnstcw %1" : "=m"(mxcsr), "=m"(x87));
  constexpr std::uint32_t kStickyFlags = 0x3f;
  return std::uint64_t{mxcsr & ~kStickyFlags} << 16 | x87;
#elif defined(__aarch64__)
  std::uint64_t fpcr = 0;
  asm volatile("mrs %0, fpcr" : "=r"(fpcr));
  return fpcr;
#endif
}

#ifdef NDEBUG
inline constexpr bool kChecksFloatControl = false;
#else
inline constexpr bool kChecksFloatControl = true;
#endif

}  // namespace weft::rt
