// SourceLocation: a place in the source, captured by a default argument.
//
//   void trace(std::string_view what, weft::SourceLocation where = weft::SourceLocation::current());
//
// It stands for std::source_location, which clang before 15 doesn't have. It looks the same to every compiler, so that
// a program and a library built by different ones agree.
// Thread safety and lifetime: a value; the texts it points to are constants of the module that captured it.
#pragma once

#include <cstdint>
#include <version>

#ifdef __cpp_lib_source_location
#include <source_location>
#endif

namespace weft {

struct SourceLocation {
  const char* file = "";      // as the compiler was given it
  const char* function = "";  // in the compiler's words; clang before 15 leaves out classes and parameters
  std::uint32_t line = 0;     // from 1; 0: nowhere

#ifdef __cpp_lib_source_location
  static constexpr SourceLocation current(std::source_location here = std::source_location::current()) noexcept {
    return {here.file_name(), here.function_name(), here.line()};
  }
#else
  static constexpr SourceLocation current(const char* file = __builtin_FILE(),
                                          const char* function = __builtin_FUNCTION(),
                                          std::uint32_t line = __builtin_LINE()) noexcept {
    return {file, function, line};
  }
#endif

  // Returns false for nowhere.
  explicit constexpr operator bool() const noexcept { return line != 0; }
};

}  // namespace weft
