// moored-pull: speaks to one registry for the daemon, with no right to write anything anywhere.
//
// moored-pull [--user UID --group GID], with a socket to the daemon on descriptor 3.
#include <curl/curl.h>

#include <csignal>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/registry/cell.hpp"
#include "runtime/registry/service.hpp"
#include "schema/base/log.hpp"
#include "schema/host/worker_process.hpp"

int main(int count, char** values) {
  if (count == 2 && std::strcmp(values[1], "--version") == 0) {
    std::printf("moored-pull %s (%s)\n", MOORED_VERSION, curl_version());
    return 0;
  }
  std::vector<std::string> arguments(values + 1, values + count);
  const auto user = moored::take_worker_user(arguments);
  if (!user || !arguments.empty()) {
    std::fprintf(stderr, "moored-pull is started by moored: [--user UID --group GID]\n");
    return 2;
  }
  std::signal(SIGPIPE, SIG_IGN);
  std::signal(SIGXFSZ, SIG_IGN);  // the log may be a file, which cannot be written from here
  curl_global_init(CURL_GLOBAL_DEFAULT);
  auto status = moored::registry::enter_cell(*user);
  if (status) {
    status = moored::registry::serve(
        moored::FrameChannel(moored::UniqueFd(moored::kWorkerSocket), -1));
  }
  if (status) return 0;
  moored::log(moored::LogLevel::error, "moored-pull ends: " + status.error().text());
  return 1;
}
