#include "weft/panic.h"

namespace weft {

void panic(const char* text) { throw Panic(text); }
void panic(const std::string& text) { throw Panic(text); }

}  // namespace weft
