#include "weft/task_group.h"

namespace weft {

TaskGroup::~TaskGroup() {
  cancel_();
  running_.wait();
}

}  // namespace weft
