#include "weft/single_flight.h"

#include "runtime/src/sched/park.h"
#include "weft/panic.h"

namespace weft::detail {

void panic_flight_exited() { panic("singleflight: the function called exit_goroutine()"); }

void exit_with_flight() {
  if (!rt::on_goroutine()) panic_flight_exited();
  exit_goroutine();
}

}  // namespace weft::detail
