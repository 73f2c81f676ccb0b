// errno for code that may have parked since it last read errno. The address of errno is a thread-local that compilers
// take for constant over a whole function; after a park it is another thread's. So errno is read here, in a function
// that is not inlined.
#pragma once

#include <system_error>

namespace weft::rt {

// Returns errno of the calling thread.
[[gnu::noinline]] int last_errno() noexcept;

inline std::error_code system_error(int code) noexcept { return {code, std::system_category()}; }
inline std::error_code last_system_error() noexcept { return system_error(last_errno()); }

}  // namespace weft::rt
