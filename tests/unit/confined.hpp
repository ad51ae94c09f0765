// What a confined worker can still do, tried from inside, and what the kernel says of a running one.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <catch2/catch.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iostream>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "schema/host/confinement.hpp"

namespace moored::confined {

inline constexpr unsigned kNobody = 65534;
inline constexpr std::pair<unsigned, unsigned> kUser{kNobody, kNobody};

// Another user is only for root to become, and a sanitizer needs calls that filters take away.
inline bool is_confinable() {
  if (::geteuid() == 0 && !kSanitized) return true;
  std::cerr << "skipped: confinement needs root, and no sanitizer\n";
  return false;
}

// Runs the attempts in a process of its own after `enter`. Bit n is set when attempt n went well;
// 255: it could not be confined.
using Attempt = bool (*)(const std::string& directory);
inline int try_after(const std::function<Status()>& enter, const std::string& directory,
                     const std::vector<Attempt>& attempts) {
  const pid_t child = ::fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    if (!enter()) ::_exit(255);
    int done = 0;
    for (std::size_t i = 0; i < attempts.size(); ++i) {
      if (attempts[i](directory)) done |= 1 << i;
    }
    ::_exit(done);
  }
  int status = 0;
  REQUIRE(::waitpid(child, &status, 0) == child);
  REQUIRE(WIFEXITED(status));
  return WEXITSTATUS(status);
}

inline bool can_open(const std::string& path, int flags) {
  const int file = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (file >= 0) ::close(file);
  return file >= 0;
}

inline bool can_make_socket(int family) {
  const int made = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (made >= 0) ::close(made);
  return made >= 0;
}

inline const Attempt kWriteInside = [](const std::string& d) {
  return can_open(d + "/new", O_CREAT | O_WRONLY);
};
inline const Attempt kWriteOutside = [](const std::string& d) {
  return can_open(d + "-beside/new", O_CREAT | O_WRONLY) || can_open("/tmp/x", O_CREAT | O_WRONLY);
};
inline const Attempt kReadInside = [](const std::string& d) {
  return can_open(d + "/closed", O_RDONLY);
};
inline const Attempt kReadBeside = [](const std::string& d) {
  return can_open(d + "-beside/closed", O_RDONLY);
};
inline const Attempt kReadSystem = [](const std::string&) {
  return can_open("/etc/nsswitch.conf", O_RDONLY);
};
inline const Attempt kReadShadow = [](const std::string&) {
  return can_open("/etc/shadow", O_RDONLY);
};
inline const Attempt kExecute = [](const std::string&) {
  return ::execl("/bin/true", "true", nullptr) == 0;
};
inline const Attempt kFork = [](const std::string&) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(0);
  return child > 0;
};
inline const Attempt kInternet = [](const std::string&) { return can_make_socket(AF_INET); };
inline const Attempt kUnixSocket = [](const std::string&) { return can_make_socket(AF_UNIX); };
inline const Attempt kListen = [](const std::string&) {
  const int made = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  return made >= 0 && ::listen(made, 1) == 0;
};
inline const Attempt kSignal = [](const std::string&) { return ::kill(::getppid(), 0) == 0; };

// The rows of /proc/PID/status of a child of this process, by the name of its program; empty when
// there is none.
inline std::map<std::string, std::string> status_of_child(const std::string& program) {
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    std::ifstream file(entry.path() / "status");
    std::map<std::string, std::string> rows;
    for (std::string line; std::getline(file, line);) {
      const auto colon = line.find(":\t");
      if (colon != std::string::npos) rows[line.substr(0, colon)] = line.substr(colon + 2);
    }
    if (rows["Name"] == program && rows["PPid"] == std::to_string(::getpid())) return rows;
  }
  return {};
}

// The same of a child that shows its system call filter within half a minute; empty otherwise. The
// filter is the last thing a worker puts on before it reads foreign bytes.
inline std::map<std::string, std::string> status_of_filtered_child(const std::string& program) {
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
  while (std::chrono::steady_clock::now() < end) {
    auto status = status_of_child(program);
    if (status["Seccomp"] == "2") return status;
    ::usleep(1'000);
  }
  return {};
}

// A worker in its jail: nobody without groups, filtered, unable to gain anything, with exactly
// these capabilities (as /proc shows them, 16 hexadecimal digits) and none to pass on.
inline void check_confined(std::map<std::string, std::string> status,
                           const std::string& capabilities) {
  CHECK(status["Uid"] == "65534\t65534\t65534\t65534");
  CHECK(status["Gid"] == "65534\t65534\t65534\t65534");
  CHECK(status["Groups"].find_first_of("0123456789") == std::string::npos);
  CHECK(status["NoNewPrivs"] == "1");
  CHECK(status["Seccomp"] == "2");
  CHECK(status["CapEff"] == capabilities);
  CHECK(status["CapPrm"] == capabilities);
  CHECK(status["CapBnd"] == "0000000000000000");
  CHECK(status["CapInh"] == "0000000000000000");
  CHECK(status["CapAmb"] == "0000000000000000");
}

}  // namespace moored::confined
