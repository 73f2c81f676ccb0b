#include "weft/atomic_value.h"

#include "weft/panic.h"

namespace weft::detail {

void panic_store_of_nil_value() { panic("sync/atomic: store of nil value into Value"); }
void panic_update_of_no_value() { panic("sync/atomic: update of a Value without a value"); }

}  // namespace weft::detail
