// DebugInfo: what libdw knows of the process's programs and libraries: how to unwind them, and where their addresses
// lie in the source.
//
// There is one for the process, made at its first use and kept: loading it is expensive, and asking again is cheap. It
// is used by one thread at a time, because libdw is not thread-safe. Nothing is fetched over the network: debug
// information comes from the files themselves and from /usr/lib/debug/.build-id.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include <elfutils/libdwfl.h>

#include "runtime/src/symbols/snapshot.h"

namespace weft::rt {

// A function that an address lies in.
struct Symbol {
  std::string function;       // "ns::f"; the address in hex when nothing is known
  std::string file;           // the source's; without debug information, the program's or the library's; may be empty
  int line = 0;               // 0: `file` is no source
  std::uint64_t address = 0;  // within the file, as addr2line takes it, when `line` is 0
  std::uint64_t offset = 0;   // from the start of the function that was really called
};

class DebugInfo {
 public:
  // Holds the process's DebugInfo while it lives.
  class Use {
   public:
    Use();
    // Gives up after `limit`: in a process that is broken, whoever has the DebugInfo may never let go.
    explicit Use(std::chrono::milliseconds limit);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    explicit operator bool() const noexcept { return info_ != nullptr; }
    DebugInfo* operator->() const noexcept { return info_; }
    DebugInfo& operator*() const noexcept { return *info_; }

   private:
    void enter_locked();

    DebugInfo* info_ = nullptr;
  };

  // Returns the addresses of a stack's frames, innermost first. Each lies inside the instruction that called (or runs),
  // which is what symbolise() takes.
  std::vector<std::uint64_t> unwind(const Snapshot& snapshot);

  // Returns the function at `pc`, preceded by those that were inlined into it there, innermost first. The result is
  // never empty.
  const std::vector<Symbol>& symbolise(std::uint64_t pc);

 private:
  DebugInfo();

  // Returns the module that `pc` lies in. Modules that were loaded since the last look are found, once per Use.
  Dwfl_Module* module_at(std::uint64_t pc);
  void report_modules();
  std::vector<Symbol> look_up(std::uint64_t pc);

  Dwfl* dwfl_ = nullptr;
  bool attached_ = false;
  bool reported_ = false;                      // in this Use
  const Snapshot* unwinding_ = nullptr;        // while unwind() runs
  std::vector<std::uint64_t>* out_ = nullptr;  // likewise
  std::unordered_map<std::uint64_t, std::vector<Symbol>> known_;

  friend struct UnwindCallbacks;
};

// Grows while somebody unwinds or symbolises: so a crashed thread that waits for its report sees that there is still
// hope.
extern std::atomic<std::uint32_t> debug_info_progress;

}  // namespace weft::rt
