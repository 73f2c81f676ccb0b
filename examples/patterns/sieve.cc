// The prime sieve: a chain of goroutines grows by one with each prime, until it is cancelled.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/task_group.h>

#include <cstdio>

namespace {

bool send(const weft::Context& ctx, const weft::SendChan<int>& to, int value) {
  return weft::select(weft::on_send(to, value), weft::on_recv(ctx.done())) == 0;
}

// [sieve]
// Sends 2, 3, 4 and so on.
weft::RecvChan<int> numbers(weft::TaskGroup& links) {
  auto out = weft::make_chan<int>();
  links.go([out](const weft::Context& ctx) {
    for (int n = 2; send(ctx, out, n); ++n) {
    }
    out.close();
  });
  return out;
}

// Lets through the numbers that `prime` does not divide.
weft::RecvChan<int> filter(weft::TaskGroup& links, const weft::RecvChan<int>& in, int prime) {
  auto out = weft::make_chan<int>();
  links.go([in, out, prime](const weft::Context& ctx) {
    for (const int n : in) {
      if (n % prime != 0 && !send(ctx, out, n)) break;
    }
    out.close();
  });
  return out;
}

void print_primes(int how_many) {
  weft::TaskGroup links;
  weft::RecvChan<int> left = numbers(links);
  for (int i = 0; i < how_many; ++i) {
    const int prime = left.recv().value();  // the first number that all filters let through
    std::printf("%d\n", prime);
    left = filter(links, left, prime);
  }
}  // the end of the scope cancels the links, and waits for them
// [sieve]

}  // namespace

int main() {
  return weft::run([] { print_primes(25); });
}
