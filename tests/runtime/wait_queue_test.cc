#include "weft/detail/wait_queue.h"

#include <gtest/gtest.h>

#include <array>
#include <vector>

namespace weft::detail {
namespace {

std::vector<WaitNode*> drain(WaitQueue& queue) {
  std::vector<WaitNode*> order;
  while (WaitNode* const node = queue.pop_front()) order.push_back(node);
  EXPECT_TRUE(queue.empty());
  return order;
}

TEST(WaitQueue, FirstComeFirstServedButForTheFront) {
  std::array<WaitNode, 4> n;
  WaitQueue queue;
  EXPECT_TRUE(queue.empty());
  EXPECT_EQ(queue.pop_front(), nullptr);
  queue.push_front(n[1]);
  queue.push_back(n[2]);
  queue.push_front(n[0]);
  queue.push_back(n[3]);
  EXPECT_FALSE(queue.empty());
  EXPECT_EQ(drain(queue), (std::vector{&n[0], &n[1], &n[2], &n[3]}));
}

TEST(WaitQueue, LeavesFromAnywhere) {
  for (std::size_t gone = 0; gone < 3; ++gone) {
    std::array<WaitNode, 3> n;
    WaitQueue queue;
    std::vector<WaitNode*> expected;
    for (std::size_t i = 0; i < 3; ++i) {
      queue.push_back(n[i]);
      if (i != gone) expected.push_back(&n[i]);
    }
    queue.remove(n[gone]);
    EXPECT_EQ(drain(queue), expected);
  }
  WaitNode only;
  WaitQueue queue;
  queue.push_back(only);
  queue.remove(only);
  EXPECT_TRUE(queue.empty());
  queue.push_back(only);
  EXPECT_EQ(drain(queue), std::vector{&only});
}

TEST(WaitQueue, TakeAllGivesAChainInOrder) {
  std::array<WaitNode, 3> n;
  WaitQueue queue;
  EXPECT_EQ(queue.take_all(), nullptr);
  for (WaitNode& node : n) queue.push_back(node);
  WaitNode* chain = queue.take_all();
  EXPECT_TRUE(queue.empty());
  for (WaitNode& node : n) {
    EXPECT_EQ(chain, &node);
    chain = chain->next;
  }
  EXPECT_EQ(chain, nullptr);
}

}  // namespace
}  // namespace weft::detail
