// A call through a frame that learns of exceptions before they unwind anything (crash/throw_watch.h says what for).
#pragma once

namespace weft::rt {

// Called on the stack that throws, when an exception is about to pass through the call.
struct ThrowObserver {
  void (*thrown)(void* arg) noexcept;
  void* arg;
};

extern "C" {

// Calls function(argument). While an exception that will pass through looks for its handler, the observer is called.
// The observer lives in rbx or x19 of this call's frame, where the frame's personality function finds it.
void weft_call_watched(void (*function)(void* argument), void* argument, const ThrowObserver* observer);
}

}  // namespace weft::rt
