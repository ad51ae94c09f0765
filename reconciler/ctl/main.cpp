// moorctl: the person's tool.
#include <unistd.h>

#include <csignal>
#include <cstdlib>

#include "reconciler/ctl/commands.hpp"

int main(int argument_count, char** argument_values) {
  std::signal(SIGPIPE, SIG_IGN);
  int exit_code = 0;
  const auto options = moored::ctl::read_options(argument_count, argument_values, exit_code);
  if (!options) return exit_code;
  moored::ctl::Console console;
  console.colour = ::isatty(STDOUT_FILENO) == 1 && std::getenv("NO_COLOR") == nullptr;
  return moored::ctl::carry_out(*options, console);
}
