# These flags are for everything built in this tree. Of them, only a sanitizer's reach a project that uses the installed
# package (runtime/CMakeLists.txt).

if(PROJECT_IS_TOP_LEVEL)
  if(NOT CMAKE_BUILD_TYPE AND NOT CMAKE_CONFIGURATION_TYPES)
    set(CMAKE_BUILD_TYPE Release CACHE STRING "Build type" FORCE)
  endif()
  set(CMAKE_EXPORT_COMPILE_COMMANDS ON)

  find_program(WEFT_CCACHE ccache)
  mark_as_advanced(WEFT_CCACHE)
  if(WEFT_CCACHE AND NOT DEFINED CMAKE_CXX_COMPILER_LAUNCHER)
    set(CMAKE_CXX_COMPILER_LAUNCHER "${WEFT_CCACHE}")
  endif()
endif()

set(CMAKE_CXX_STANDARD 20)
set(CMAKE_CXX_STANDARD_REQUIRED ON)
set(CMAKE_CXX_EXTENSIONS OFF)

# Dumps and profiles walk frame pointers.
add_compile_options($<$<COMPILE_LANGUAGE:CXX>:-fno-omit-frame-pointer>)

set(weft_warnings -Wall -Wextra -Wpedantic -Wshadow -Wnon-virtual-dtor -Woverloaded-virtual)
if(CMAKE_CXX_COMPILER_ID STREQUAL "Clang")
  # weft/thread_annotations.h says what each lock guards.
  list(APPEND weft_warnings -Wthread-safety)
endif()
if(WEFT_WERROR)
  list(APPEND weft_warnings -Werror)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC derives these warnings after inlining and reports the standard library's own code. They are no errors.
    list(APPEND weft_warnings -Wno-error=restrict -Wno-error=array-bounds -Wno-error=stringop-overflow
         -Wno-error=stringop-overread -Wno-error=maybe-uninitialized)
  endif()
endif()

# WEFT_ASAN and WEFT_TSAN say which sanitizer the build has, also in files that are compiled without it.
if(WEFT_SANITIZE STREQUAL "address")
  # The check of vptrs makes a pipe to find out whether memory is readable, and calls a good object bad when it gets
  # none. Tests that use up all descriptors would fail by it.
  set(weft_sanitizer_flags -fsanitize=address,undefined -fno-sanitize=vptr -fno-sanitize-recover=all)
  add_compile_definitions(WEFT_ASAN=1)
elseif(WEFT_SANITIZE STREQUAL "thread")
  set(weft_sanitizer_flags -fsanitize=thread)
  add_compile_definitions(WEFT_TSAN=1)
  if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU")
    # GCC warns at each std::atomic_thread_fence, which its TSan does not model.
    list(APPEND weft_warnings -Wno-tsan)
  endif()
elseif(NOT WEFT_SANITIZE STREQUAL "")
  message(FATAL_ERROR "WEFT_SANITIZE is \"${WEFT_SANITIZE}\"; it must be empty, \"address\" or \"thread\"")
endif()

add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${weft_warnings};${weft_sanitizer_flags}>")
add_link_options(${weft_sanitizer_flags})

if(WEFT_PERTURB)
  add_compile_definitions(WEFT_PERTURB=1)
endif()
