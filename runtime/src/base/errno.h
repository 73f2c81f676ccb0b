// errno. Its address is a thread-local that compilers take for constant over a whole function, with all that is inlined
// there; after a park it is another thread's. So errno is read and written here, in functions that are not inlined, and
// nowhere else: tests/e2e/errno_test.py looks through the compiled libraries.
#pragma once

#include <system_error>

namespace weft::rt {

// Returns errno of the calling thread.
[[gnu::noinline]] int last_errno() noexcept;

// Sets errno of the calling thread. It is for signal handlers, which leave errno as it was.
[[gnu::noinline]] void set_errno(int error) noexcept;

inline std::error_code system_error(int code) noexcept { return {code, std::system_category()}; }
inline std::error_code last_system_error() noexcept { return system_error(last_errno()); }

}  // namespace weft::rt
