// Where the mirror of one source lives, and whose it is.
#pragma once

#include <string>

#include "schema/base/result.hpp"

namespace moored::git {

// Makes home, a directory of the daemon with a mirror in home/repository, belong to uid and gid as
// a whole, with mode 0700. A mirror that lies in home itself, as it did before workers had a user
// of their own, is moved; one that belongs to somebody else is handed over file by file, and
// thrown away when it holds what no mirror holds. Free when everything is as it should be.
// The worker of this source must not run. Errors: denied, exhausted.
Status prepare_mirror_home(const std::string& home, unsigned uid, unsigned gid);

}  // namespace moored::git
