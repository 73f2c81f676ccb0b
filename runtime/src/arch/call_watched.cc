#include "runtime/src/arch/call_watched.h"

#include <unwind.h>

namespace weft::rt {
namespace {

// The register in which weft_call_watched keeps its third argument, in DWARF's numbers.
#if defined(__x86_64__)
constexpr int kObserverRegister = 3;  // rbx
#elif defined(__aarch64__)
constexpr int kObserverRegister = 19;
#endif

}  // namespace

// The personality function of weft_call_watched's frame. The frame never has a handler, nor anything to clean up.
extern "C" [[gnu::visibility("hidden")]] _Unwind_Reason_Code weft_watch_personality(int version, _Unwind_Action actions,
                                                                                    _Unwind_Exception_Class,
                                                                                    _Unwind_Exception*,
                                                                                    _Unwind_Context* context) {
  if (version == 1 && (actions & _UA_SEARCH_PHASE) != 0) {
    const auto* const observer =
        reinterpret_cast<const ThrowObserver*>(_Unwind_GetGR(context, kObserverRegister));  // NOLINT
    observer->thrown(observer->arg);
  }
  return _URC_CONTINUE_UNWIND;
}

}  // namespace weft::rt
