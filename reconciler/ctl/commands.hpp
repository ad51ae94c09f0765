// Carries out what a person asked of moorctl.
#pragma once

#include <cstdio>
#include <string>

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

// The URL of the API: --server, else run-dir/api.json, else http://127.0.0.1:6446.
std::string find_server(const Options& options);
// The smallest kubeconfig that every client accepts, for an API without credentials.
std::string make_kubeconfig(const std::string& server);
// Path and query of a log, as Kubernetes has it.
std::string log_path(const LogsCommand& command);

// Loads a directory with the loader of the daemon and reports all errors in one pass:
// {valid, files, objects, errors: […], warnings: […]}. Errors: not_found, denied.
Result<Value> validate_directory(const ValidateCommand& command);

}  // namespace moored::ctl
