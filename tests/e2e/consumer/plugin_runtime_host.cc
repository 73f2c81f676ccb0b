// A program with a runtime of its own, which loads a shared object that has another one. Each goroutine belongs to the
// runtime of the code that started it.
#include <dlfcn.h>

#include <cstdio>
#include <thread>

#include <weft/chan.h>
#include <weft/go.h>
#include <weft/sync.h>

int main(int argc, char** argv) {
  using RunPlugin = int (*)(const char* poller);
  void* const plugin = argc == 2 ? ::dlopen(argv[1], RTLD_NOW | RTLD_LOCAL) : nullptr;
  if (plugin == nullptr) return 1;
  const auto run = reinterpret_cast<RunPlugin>(::dlsym(plugin, "run_plugin"));
  if (run == nullptr) return 1;
  const int status = weft::run([&] {
    const auto results = weft::make_chan<int>();
    std::thread other([&] { results.send(run("epoll")); });
    const int inside = weft::blocking([&] { return run("automatic"); });
    const int beside = results.recv().value_or(0);
    other.join();
    // They may have met each other: the plugin has one runtime at a time.
    const bool fine = (inside == 7 && beside == 7) || (inside == 7 && beside == 1) || (inside == 1 && beside == 7);
    std::printf("a runtime beside a runtime: %s\n", fine ? "fine" : "broken");
    return 0;
  });
  return status;
}
