#include "runtime/src/symbols/names.h"

#include <cxxabi.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdlib>

namespace weft::rt {
namespace {

constexpr std::string_view kOperator = "operator";

bool identifier_char(char c) noexcept {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$';
}

// Drops `suffix` and tells whether it was there.
bool drop_suffix(std::string_view& name, std::string_view suffix) noexcept {
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return true;
}

void drop_qualifiers(std::string_view& name) noexcept {
  // GCC's marks of a function's copies: " [clone .cold]".
  while (name.ends_with(']')) {
    const std::size_t begin = name.rfind(" [clone ");
    if (begin == std::string_view::npos) break;
    name = name.substr(0, begin);
  }
  while (drop_suffix(name, " const") || drop_suffix(name, " volatile") || drop_suffix(name, " noexcept") ||
         drop_suffix(name, "&") || drop_suffix(name, " ")) {
  }
}

// Drops a mark like "[abi:cxx11]".
void drop_abi_tag(std::string_view& name) noexcept {
  if (!name.ends_with(']')) return;
  if (const std::size_t begin = name.rfind("[abi:"); begin != std::string_view::npos) name = name.substr(0, begin);
}

void drop_parameters(std::string_view& name) noexcept {
  if (!name.ends_with(')')) return;
  int depth = 0;
  for (std::size_t i = name.size(); i-- > 0;) {
    if (name[i] == ')') ++depth;
    if (name[i] == '(' && --depth == 0) {
      const std::string_view before = name.substr(0, i);
      // "operator()" without parameters is a name, and so is "(anonymous namespace)".
      if (!before.empty() && !before.ends_with(kOperator) && !before.ends_with("::")) name = before;
      return;
    }
  }
}

// Returns the length of the operator's symbol at the head of `rest`, for those alone that would upset the counting of
// brackets.
std::size_t operator_symbol(std::string_view rest) noexcept {
  constexpr std::array<std::string_view, 14> kSymbols = {"()", "[]", "<=>", "<<=", ">>=", "->*", "->",
                                                         "<<", ">>", "<=",  ">=",  "<",   ">",   ","};
  for (const std::string_view symbol : kSymbols) {
    if (rest.starts_with(symbol)) return symbol.size();
  }
  return 0;
}

// Tells whether a qualifier comes next, as in "f() const::{lambda()#1}". Anything else after a ')' and a blank is the
// name: "decltype(auto) f<int>".
bool starts_with_qualifier(std::string_view rest) noexcept {
  return rest.starts_with("const::") || rest.starts_with("const&") || rest.starts_with("const ") ||
         rest.starts_with("volatile") || rest.starts_with("noexcept") || rest.starts_with('&') ||
         rest.starts_with("[clone ");
}

void drop_return_type(std::string_view& name) noexcept {
  int depth = 0;
  std::size_t begin = 0;
  for (std::size_t i = 0; i < name.size(); ++i) {
    const char c = name[i];
    const std::string_view rest = name.substr(i);
    if (rest.starts_with(kOperator) && (i == 0 || !identifier_char(name[i - 1])) &&
        (rest.size() == kOperator.size() || !identifier_char(rest[kOperator.size()]))) {
      i += kOperator.size();
      if (i < name.size() && name[i] == ' ' && depth == 0)
        break;  // a conversion, new or delete: what follows is its name
      i += operator_symbol(name.substr(std::min(i, name.size())));
      if (i < name.size() && name[i] == ' ') ++i;  // "operator< <int>"
      --i;
    } else if (rest.starts_with("->")) {
      ++i;
    } else if (c == '<' || c == '(' || c == '{' || c == '[') {
      ++depth;
    } else if (c == '>' || c == ')' || c == '}' || c == ']') {
      --depth;
    } else if (c == ' ' && depth == 0 && (i == 0 || name[i - 1] != ')' || !starts_with_qualifier(name.substr(i + 1)))) {
      begin = i + 1;
    }
  }
  name = name.substr(begin);
}

}  // namespace

std::string_view without_signature(std::string_view demangled) noexcept {
  std::string_view name = demangled;
  drop_qualifiers(name);
  drop_parameters(name);
  drop_abi_tag(name);
  drop_return_type(name);
  return name.empty() ? demangled : name;
}

std::string function_name(const char* symbol) {
  // Anything else would be read as a type: "f" is float.
  if (std::string_view(symbol).starts_with("_Z")) {
    int status = 0;
    char* const demangled = abi::__cxa_demangle(symbol, nullptr, nullptr, &status);
    if (status == 0) {
      std::string name(without_signature(demangled));
      std::free(demangled);
      return name;
    }
  }
  return symbol;
}

bool is_internal(std::string_view function) noexcept {
  constexpr auto kPrefixes = std::to_array<std::string_view>({
      "weft::rt::",
      "weft::detail::",
      "weft::go<",
      "weft::run<",
      "weft::WaitGroup::go<",
      "weft::ErrGroup::start<",
      "weft::ErrGroup::call<",
      "weft::TaskGroup::go<",
      "weft::Semaphore::acquire_until(",
      "weft_call_watched",
      "weft_watch_personality",
      "weft_switch_context",
      "weft_start_context",
      "__cxxabiv1::",
      "__cxa_throw",
      "__cxa_rethrow",
      "__cxa_call_terminate",
      "__gxx_personality_v0",
      "__clang_call_terminate",
      "_Unwind_",
      "std::terminate",
      "std::rethrow_exception",
  });
  return std::ranges::any_of(kPrefixes, [function](std::string_view prefix) { return function.starts_with(prefix); });
}

}  // namespace weft::rt
