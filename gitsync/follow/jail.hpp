// Takes away from moored-git whatever fetching and reading does not need.
#pragma once

#include <string>

#include "schema/base/result.hpp"
#include "schema/host/confinement.hpp"

namespace moored::git {

// What a worker is for, and hence what it may still do.
struct Jail {
  std::string mirror;  // directory that it may write; it may speak to servers as well
  std::string local;   // instead of a mirror: directory of this machine that it may only read
  WorkerUser user;
};

// From here on the process has no capability, is another user if one is given, can gain nothing
// by executing, and is held to a list of system calls: no programs, no listening, no signals to
// others. A worker with a mirror sees that directory and the libraries, certificates and resolver
// settings of the system. One for a local directory sees nothing else, neither speaks to anybody
// nor writes, and keeps one capability, CAP_DAC_READ_SEARCH, because what people develop in is
// often closed to others. Landlock is used where the kernel has it (5.19 and later). Call it
// before the first thread is made.
// Errors: those of the system calls; the process must then not go on.
Status enter_jail(const Jail& jail);

}  // namespace moored::git
