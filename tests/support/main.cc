// The main() of every test program. It prints the seed of its random schedules.
#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <iostream>
#include <random>
#include <string>

int main(int argc, char** argv) {
  ::testing::InitGoogleTest(&argc, argv);
  if (std::getenv("WEFT_SEED") == nullptr) ::setenv("WEFT_SEED", std::to_string(std::random_device{}()).c_str(), 1);
  std::cout << "WEFT_SEED=" << std::getenv("WEFT_SEED") << std::endl;
  return RUN_ALL_TESTS();
}
