// moored-unpack: unpacks one archive for the daemon, with no more rights than that needs.
//
// moored-unpack layer|archive BYTES ENTRIES RATIO [--user UID --group GID], with the archive on
// descriptor 3, the target directory on 4 and the directories of the layers below on 5 and up. One
// line of JSON on stdout.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <string>
#include <vector>

#include "runtime/image/jail.hpp"
#include "runtime/image/unpack.hpp"
#include "runtime/image/unpack_worker.hpp"
#include "schema/host/worker_process.hpp"

namespace {

using moored::image::kUnpackFirstLower;
using moored::image::kUnpackSource;
using moored::image::kUnpackTarget;

constexpr int kMaxLowers = 126;

moored::Result<moored::image::UnpackReport> run(std::vector<std::string> arguments) {
  MOORED_TRY(const auto user, moored::take_worker_user(arguments));
  if (arguments.size() != 4) {
    return moored::fail(moored::Code::invalid, "started by the daemon only");
  }
  moored::image::UnpackRequest request;
  request.source = kUnpackSource;
  request.target = kUnpackTarget;
  request.as_layer = arguments[0] == "layer";
  request.limits.bytes = std::atoll(arguments[1].c_str());
  request.limits.entries = std::atoll(arguments[2].c_str());
  request.limits.ratio = std::atoll(arguments[3].c_str());
  constexpr int kEnd = kUnpackFirstLower + kMaxLowers;
  for (int fd = kUnpackFirstLower; fd < kEnd && fcntl(fd, F_GETFD) >= 0; ++fd) {
    request.lowers.push_back(fd);
  }
  // Names in archives are UTF-8; without this the C locale loses them.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  std::signal(SIGXFSZ, SIG_IGN);
  umask(0);
  MOORED_CHECK(
      moored::image::enter_jail(user, kUnpackTarget, request.lowers, request.limits.bytes));
  return moored::image::unpack(request);
}

}  // namespace

int main(int argc, char** argv) {
  const auto report = run({argv + 1, argv + argc});
  const std::string line = moored::image::write_report(report) + "\n";
  const bool told =
      write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  return report && told ? 0 : 1;
}
