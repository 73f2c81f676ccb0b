// Symbolisation: the functions and source lines of an address. Debug information tells what was inlined where; without
// it the symbol table still has the functions' names.
#include <elfutils/libdw.h>
#include <fmt/format.h>

#include <dwarf.h>

#include <cstdlib>
#include <memory>
#include <span>

#include "runtime/src/symbols/debug_info.h"
#include "runtime/src/symbols/names.h"

namespace weft::rt {
namespace {

// A program has some thousands of call sites; this bounds one that loads and unloads libraries.
constexpr std::size_t kMostKnown = 100'000;

struct FreeScopes {
  void operator()(Dwarf_Die* scopes) const noexcept { std::free(scopes); }
};

// The innermost scope around `pc` that is a function, and all scopes around that; empty when there is none.
class Scopes {
 public:
  Scopes(Dwarf_Die* unit, Dwarf_Addr pc) {
    Dwarf_Die* around = nullptr;
    const int n = ::dwarf_getscopes(unit, pc, &around);
    const std::unique_ptr<Dwarf_Die, FreeScopes> freed(around);
    for (int i = 0; i < n; ++i) {
      const int tag = ::dwarf_tag(&around[i]);
      if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
      // The scopes are asked for again, for the function itself. The answer for an address leaves the calls that
      // inlined the function, and goes on with the place where the function was written.
      Dwarf_Die* scopes = nullptr;
      count_ = ::dwarf_getscopes_die(&around[i], &scopes);
      scopes_.reset(scopes);
      return;
    }
  }

  std::span<Dwarf_Die> all() const noexcept {
    return count_ > 0 ? std::span(scopes_.get(), static_cast<std::size_t>(count_)) : std::span<Dwarf_Die>();
  }

 private:
  std::unique_ptr<Dwarf_Die, FreeScopes> scopes_;
  int count_ = 0;
};

std::string name_of(Dwarf_Die* function) {
  Dwarf_Attribute attribute;
  if (::dwarf_attr_integrate(function, DW_AT_linkage_name, &attribute) != nullptr) {
    if (const char* const name = ::dwarf_formstring(&attribute)) return function_name(name);
  }
  const char* const name = ::dwarf_diename(function);
  return name == nullptr ? std::string() : name;
}

// Reads where the inlined function was called.
void read_call_site(Dwarf_Die* unit, Dwarf_Die* inlined, Symbol& caller) {
  Dwarf_Attribute attribute;
  Dwarf_Word value = 0;
  if (::dwarf_formudata(::dwarf_attr(inlined, DW_AT_call_line, &attribute), &value) == 0) {
    caller.line = static_cast<int>(value);
  }
  Dwarf_Files* files = nullptr;
  if (::dwarf_formudata(::dwarf_attr(inlined, DW_AT_call_file, &attribute), &value) == 0 &&
      ::dwarf_getsrcfiles(unit, &files, nullptr) == 0) {
    if (const char* const name = ::dwarf_filesrc(files, value, nullptr, nullptr)) caller.file = name;
  }
}

// Returns the compilation unit that `pc` (of the running process) lies in.
Dwarf_Die* unit_at(Dwfl_Module* module, Dwarf_Addr pc, Dwarf_Addr& bias) {
  if (Dwarf_Die* const unit = ::dwfl_module_addrdie(module, pc, &bias)) return unit;
  // A compiler that writes no .debug_aranges (clang) leaves the search to us.
  Dwarf_Die* unit = nullptr;
  while ((unit = ::dwfl_module_nextcu(module, unit, &bias)) != nullptr) {
    if (::dwarf_haspc(unit, pc - bias) > 0) return unit;
  }
  return nullptr;
}

// Adds what debug information knows, if anything, to `symbols`, which hold what the symbol table knows.
void add_source(Dwarf_Die* unit, Dwarf_Addr pc, std::vector<Symbol>& symbols) {
  const Symbol outermost = symbols.back();
  Symbol at = outermost;
  if (Dwarf_Line* const line = ::dwarf_getsrc_die(unit, pc)) {
    ::dwarf_lineno(line, &at.line);
    if (const char* const file = ::dwarf_linesrc(line, nullptr, nullptr); file != nullptr && at.line != 0)
      at.file = file;
  }
  if (at.line == 0) return;
  symbols.clear();
  const Scopes scopes(unit, pc);
  for (Dwarf_Die& scope : scopes.all()) {
    const int tag = ::dwarf_tag(&scope);
    if (tag == DW_TAG_inlined_subroutine) {
      at.function = name_of(&scope);
      symbols.push_back(at);
      read_call_site(unit, &scope, at);
    } else if (tag == DW_TAG_subprogram) {
      break;
    }
  }
  at.function = outermost.function;
  symbols.push_back(at);
}

}  // namespace

const std::vector<Symbol>& DebugInfo::symbolise(std::uint64_t pc) {
  debug_info_progress.fetch_add(1, std::memory_order_relaxed);
  if (known_.size() > kMostKnown) known_.clear();
  const auto [place, is_new] = known_.try_emplace(pc);
  if (is_new) place->second = look_up(pc);
  return place->second;
}

std::vector<Symbol> DebugInfo::look_up(std::uint64_t pc) {
  std::vector<Symbol> symbols(1);
  Symbol& symbol = symbols.front();
  Dwfl_Module* const module = module_at(pc);
  if (module == nullptr) {
    symbol.function = fmt::format("{:#x}", pc);
    return symbols;
  }
  GElf_Off offset = 0;
  GElf_Sym unused;
  Dwarf_Addr low = 0;
  const char* const name = ::dwfl_module_addrinfo(module, pc, &offset, &unused, nullptr, nullptr, nullptr);
  const char* const file = ::dwfl_module_info(module, nullptr, &low, nullptr, nullptr, nullptr, nullptr, nullptr);
  symbol.function = name == nullptr ? fmt::format("{:#x}", pc) : function_name(name);
  symbol.offset = name == nullptr ? 0 : offset;
  symbol.file = file == nullptr ? "" : file;

  Dwarf_Addr bias = 0;
  ::dwfl_module_getelf(module, &bias);
  symbol.address = pc - bias;
  if (Dwarf_Die* const unit = unit_at(module, pc, bias)) add_source(unit, pc - bias, symbols);
  return symbols;
}

}  // namespace weft::rt
