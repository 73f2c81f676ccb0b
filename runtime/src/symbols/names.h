// How functions are named in tracebacks.
#pragma once

#include <string>
#include <string_view>

namespace weft::rt {

// Makes "ns::Type::method" out of a linker symbol: demangled, without return type, parameters and qualifiers. A name
// that is not mangled stays.
std::string function_name(const char* symbol);

// Does the same with a demangled name.
std::string_view without_signature(std::string_view demangled) noexcept;

// Returns true for what tracebacks hide unless asked: the runtime's own frames, and the C++ runtime's between a throw
// and its handler.
bool is_internal(std::string_view function) noexcept;

}  // namespace weft::rt
