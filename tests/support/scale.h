// How much more a test does where nothing slows the test down.
#pragma once

namespace weft::testing {

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
inline constexpr int kScale = 1;
#else
inline constexpr int kScale = 10;
#endif

}  // namespace weft::testing
