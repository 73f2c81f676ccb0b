// Leave concurrency to the caller: the library's function does its work and calls back. A caller who wants several
// things at once says so in a few lines, and knows when they end.
#include <weft/chan.h>
#include <weft/context.h>
#include <weft/error.h>
#include <weft/go.h>
#include <weft/select.h>
#include <weft/task_group.h>

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <system_error>

namespace fs = std::filesystem;

namespace {

// [walk]
// Calls visit(path) for each file in the tree below root, until visit() returns false. Knows nothing of goroutines.
std::error_code walk(const fs::path& root, const std::function<bool(const fs::path&)>& visit) {
  std::error_code error;
  std::error_code unknown;  // what can't be looked at does not count as a file
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end; it.increment(error)) {
    if (it->is_regular_file(unknown) && !visit(it->path())) break;
  }
  return error;
}
// [walk]

std::string contents(const fs::path& path) {
  return weft::blocking([&] {
    std::ifstream file(path);
    return std::string(std::istreambuf_iterator<char>(file), {});
  });
}

// This caller needs no more than a plain callback.
int count_files(const fs::path& root) {
  int files = 0;
  const std::error_code error =
      weft::blocking([&] { return walk(root, [&](const fs::path&) { return ++files > 0; }); });
  return error ? -1 : files;
}

// [find]
// This caller reads four files at a time, and ends the walk as soon as one of them contains the word.
weft::Result<fs::path> find(const weft::Context& parent, const fs::path& root, const std::string& word) {
  const auto paths = weft::make_chan<fs::path>();
  const auto found = weft::make_chan<fs::path>(1);
  weft::Error error;
  weft::TaskGroup searching(parent);
  searching.go([&](const weft::Context& ctx) {
    // The walk waits for the disk; the sends inside it wait for readers.
    error = weft::blocking([&] {
      return walk(root, [&](const fs::path& path) {
        // A select takes any of the ready cases, so ctx is asked first: nothing is read once it has ended.
        return !ctx.err() && weft::select(weft::on_send(paths, path), weft::on_recv(ctx.done())) == 0;
      });
    });
    paths.close();
  });
  for (int r = 0; r < 4; ++r) {
    searching.go([&] {
      for (const fs::path& path : paths) {
        if (contents(path).find(word) == std::string::npos) continue;
        found.try_send(path);  // there is room for the first
        searching.cancel();
      }
    });
  }
  searching.wait();
  if (auto path = found.try_recv()) return *path;
  if (error) return weft::Unexpected(error.wrap("walk " + root.string()));
  if (parent.err()) return weft::Unexpected(parent.err());
  return weft::Unexpected(weft::Error::text("no file has the word " + word));
}
// [find]

// Makes three directories of five files each; one file contains the word "needle".
class Haystack {
 public:
  Haystack() : root_(fs::temp_directory_path() / ("weft_walk_" + std::to_string(::getpid()))) {
    for (const char* const directory : {"barn", "field", "loft"}) {
      fs::create_directories(root_ / directory);
      for (int n = 0; n < 5; ++n) std::ofstream(root_ / directory / std::to_string(n)) << "hay\n";
    }
    std::ofstream(root_ / "field" / "3") << "hay needle hay\n";
  }
  ~Haystack() {
    std::error_code ignored;
    fs::remove_all(root_, ignored);
  }
  Haystack(const Haystack&) = delete;
  Haystack& operator=(const Haystack&) = delete;

  const fs::path& root() const { return root_; }

 private:
  fs::path root_;
};

void print(const weft::Result<fs::path>& found) {
  std::printf("%s\n", found ? found->c_str() : found.error().message().c_str());
}

}  // namespace

int main() {
  return weft::run([] {
    const Haystack haystack;
    fs::current_path(haystack.root());
    std::printf("%d files\n", count_files("."));
    print(find(weft::background(), ".", "needle"));
    print(find(weft::background(), ".", "thread"));
    print(find(weft::background(), "cellar", "needle"));
    auto [ctx, cancel] = weft::with_cancel(weft::background());
    cancel();
    print(find(ctx, ".", "needle"));
  });
}
