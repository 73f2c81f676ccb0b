#include "weft/once.h"

#include "weft/panic.h"

namespace weft::detail {

void panic_once_exited() { panic("sync: the function of a once_func or once_value called exit_goroutine()"); }

}  // namespace weft::detail
