// The labels of the calling goroutine. base/labels.cc has Labels itself.
#include "weft/labels.h"

#include <utility>

#include "runtime/src/sched/go.h"
#include "runtime/src/sched/goroutine.h"

namespace weft::this_goroutine {

Labels labels() noexcept {
  const rt::G* const g = rt::current_goroutine();
  return g == nullptr ? Labels() : g->labels.own();
}

void set_labels(Labels labels) noexcept {
  if (rt::G* const g = rt::current_goroutine()) g->labels.set(std::move(labels));
}

}  // namespace weft::this_goroutine
