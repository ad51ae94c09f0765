// Carries out what a person asked of moorctl.
#pragma once

#include <cstdio>
#include <string>

#include "reconciler/ctl/endpoint.hpp"
#include "reconciler/ctl/options.hpp"
#include "schema/base/result.hpp"
#include "schema/codec/value.hpp"

namespace moored::ctl {

// Exit codes beside 0: the person can tell a refusal from a difference.
inline constexpr int kFailed = 1;
inline constexpr int kChanges = 2;  // of plan

// Where the answer and the progress go.
struct Console {
  std::FILE* out = stdout;
  std::FILE* err = stderr;
  bool colour = false;  // out is a terminal and NO_COLOR is not set
};

// Does it and prints the answer; errors are printed with their fix. The exit code.
int carry_out(const Options& options, const Console& console);

// Path and query of a log, as Kubernetes has it.
std::string log_path(const LogsCommand& command);

// Loads a directory with the loader of the daemon and reports all errors in one pass:
// {valid, files, objects, errors: […], warnings: […]}. Errors: not_found, denied.
Result<Value> validate_directory(const ValidateCommand& command);

}  // namespace moored::ctl
