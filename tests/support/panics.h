// What a call throws.
#pragma once

#include <string>

#include "weft/panic.h"

namespace weft::testing {

// Returns the text of the Panic that f() throws.
template <typename F>
std::string panic_text(F&& f) {
  try {
    f();
  } catch (const Panic& panic) {
    return panic.what();
  }
  return "no panic";
}

}  // namespace weft::testing
