// Panic: Go's panics as exceptions.
//
// Misuse that Go answers with a panic (a send on a closed channel, a negative WaitGroup counter) throws a Panic with
// Go's text. An exception that leaves its goroutine ends the process with status 2.
#pragma once

#include <stdexcept>
#include <string>

namespace weft {

class Panic : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

// Throws Panic(text).
[[noreturn]] void panic(const char* text);
[[noreturn]] void panic(const std::string& text);

}  // namespace weft
