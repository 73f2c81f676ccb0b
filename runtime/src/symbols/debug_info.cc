#include "runtime/src/symbols/debug_info.h"

#include <unistd.h>

#include <ctime>
#include <mutex>

namespace weft::rt {

constinit std::atomic<std::uint32_t> debug_info_progress{0};

namespace {

constinit std::mutex in_use;

Dwfl_Callbacks module_callbacks = {
    .find_elf = dwfl_linux_proc_find_elf,
    // Not dwfl_standard_find_debuginfo, which asks debuginfod servers where the environment names some.
    .find_debuginfo = dwfl_build_id_find_debuginfo,
    .section_address = nullptr,
    .debuginfo_path = nullptr,
};

}  // namespace

DebugInfo::Use::Use() {
  in_use.lock();
  enter_locked();
}

DebugInfo::Use::Use(std::chrono::milliseconds limit) {
  const auto end = std::chrono::steady_clock::now() + limit;
  while (!in_use.try_lock()) {
    if (std::chrono::steady_clock::now() >= end) return;
    const timespec pause{0, 1'000'000};
    ::nanosleep(&pause, nullptr);
  }
  enter_locked();
}

void DebugInfo::Use::enter_locked() {
  static auto* const info = new DebugInfo;  // outlives every static destructor
  info->reported_ = false;
  info_ = info;
}

DebugInfo::Use::~Use() {
  if (info_ != nullptr) in_use.unlock();
}

DebugInfo::DebugInfo() : dwfl_(::dwfl_begin(&module_callbacks)) {}

void DebugInfo::report_modules() {
  reported_ = true;
  if (dwfl_ == nullptr) return;
  ::dwfl_report_begin(dwfl_);
  ::dwfl_linux_proc_report(dwfl_, ::getpid());
  ::dwfl_report_end(dwfl_, nullptr, nullptr);
}

Dwfl_Module* DebugInfo::module_at(std::uint64_t pc) {
  if (dwfl_ == nullptr) return nullptr;
  Dwfl_Module* module = ::dwfl_addrmodule(dwfl_, pc);
  if (module == nullptr && !reported_) {
    report_modules();
    module = ::dwfl_addrmodule(dwfl_, pc);
  }
  return module;
}

}  // namespace weft::rt
