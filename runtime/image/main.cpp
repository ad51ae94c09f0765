// moored-unpack: unpacks one archive for the daemon, with no more rights than that needs.
//
// moored-unpack layer|archive BYTES ENTRIES RATIO, with the archive on descriptor 3, the target
// directory on 4 and the directories of the layers below on 5 and up. One line of JSON on stdout.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <clocale>
#include <csignal>
#include <cstdlib>
#include <string>

#include "runtime/image/jail.hpp"
#include "runtime/image/unpack.hpp"

namespace {

constexpr int kSource = 3;
constexpr int kTarget = 4;
constexpr int kFirstLower = 5;
constexpr int kMaxLowers = 126;

moored::Result<moored::image::UnpackReport> run(int argc, char** argv) {
  if (argc != 5) return moored::fail(moored::Code::invalid, "started by the daemon only");
  moored::image::UnpackRequest request;
  request.source = kSource;
  request.target = kTarget;
  request.as_layer = std::string(argv[1]) == "layer";
  request.limits.bytes = std::atoll(argv[2]);
  request.limits.entries = std::atoll(argv[3]);
  request.limits.ratio = std::atoll(argv[4]);
  for (int fd = kFirstLower; fd < kFirstLower + kMaxLowers && fcntl(fd, F_GETFD) >= 0; ++fd) {
    request.lowers.push_back(fd);
  }
  // Names in archives are UTF-8; without this the C locale loses them.
  std::setlocale(LC_CTYPE, "C.UTF-8");
  std::signal(SIGXFSZ, SIG_IGN);
  umask(0);
  MOORED_CHECK(moored::image::enter_jail(kTarget, request.lowers, request.limits.bytes));
  return moored::image::unpack(request);
}

}  // namespace

int main(int argc, char** argv) {
  const auto report = run(argc, argv);
  const std::string line = moored::image::write_report(report) + "\n";
  const bool told =
      write(STDOUT_FILENO, line.data(), line.size()) == static_cast<ssize_t>(line.size());
  return report && told ? 0 : 1;
}
