#include "http/src/http1/workspace.h"

#include <cstddef>
#include <deque>

#include <gtest/gtest.h>

namespace weft::http::detail::http1 {
namespace {

TEST(WorkspacePool, KeepsSoManyAndNoMore) {
  constexpr std::size_t kMore = WorkspacePool::kMost + 100;
  WorkspacePool pool(1024);
  for (int round = 0; round < 2; ++round) {
    std::deque<WorkspacePool::Loan> loans;
    for (std::size_t i = 0; i < kMore; ++i) loans.emplace_back(pool);
    EXPECT_EQ(pool.size(), kMore);
    for (WorkspacePool::Loan& loan : loans) loan.give_back();
    EXPECT_EQ(pool.size(), WorkspacePool::kMost);
  }
}

TEST(WorkspacePool, LendsTheSameAgain) {
  WorkspacePool pool(1024);
  const Workspace* first = nullptr;
  for (int round = 0; round < 3; ++round) {
    WorkspacePool::Loan loan(pool);
    if (round == 0) first = &*loan;
    EXPECT_EQ(&*loan, first);
    loan.give_back();
  }
  EXPECT_EQ(pool.size(), 1U);
  { const WorkspacePool::Loan broken(pool); }
  EXPECT_EQ(pool.size(), 0U);
}

}  // namespace
}  // namespace weft::http::detail::http1
