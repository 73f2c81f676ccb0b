// The bundled program: `weft serve` and `weft check`.
#include <variant>

#include "app/src/main/check.h"
#include "app/src/main/command_line.h"
#include "app/src/main/serve.h"

namespace {

struct RunCommand {
  int operator()(const weft::program::Done& done) const { return done.status; }
  int operator()(const weft::program::ServeCommand& command) const { return weft::program::serve(command); }
  int operator()(const weft::program::CheckCommand& command) const { return weft::program::check(command); }
};

}  // namespace

int main(int argc, char** argv) { return std::visit(RunCommand(), weft::program::parse_command_line(argc, argv)); }
