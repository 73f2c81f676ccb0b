// Test bodies that run as the main goroutine, for every backend and width.
//
//   WEFT_PROCS_TEST(Suite, Name) { ... }    procs 1, 2, 4 on the default poller          Suite.Name/2
//   WEFT_MATRIX_TEST(Suite, Name) { ... }   {io_uring, io_uring_plain, epoll} x procs    Suite.Name/epoll/2
//
// After each body no goroutine except main, no timer and no descriptor may be left. The test prints the survivors.
#pragma once

#include <gtest/gtest.h>

#include <string>

namespace weft::testing {

struct Variant {
  std::string poller;  // a value of WEFT_POLLER
  int procs = 1;
};

// Returns the variant of the running test.
const Variant& variant();

using Body = void (*)();

void run_variant(const Variant& v, Body body);

// Registers one gtest for each variant. The macros call it.
int register_procs_test(const char* suite, const char* name, const char* file, int line, Body body);
int register_matrix_test(const char* suite, const char* name, const char* file, int line, Body body);

}  // namespace weft::testing

#define WEFT_REGISTER_TEST_(registrar, suite, name)                                               \
  static void weft_test_##suite##_##name();                                                       \
  [[maybe_unused]] static const int weft_registered_##suite##_##name =                            \
      ::weft::testing::registrar(#suite, #name, __FILE__, __LINE__, &weft_test_##suite##_##name); \
  static void weft_test_##suite##_##name()

#define WEFT_PROCS_TEST(suite, name) WEFT_REGISTER_TEST_(register_procs_test, suite, name)
#define WEFT_MATRIX_TEST(suite, name) WEFT_REGISTER_TEST_(register_matrix_test, suite, name)
