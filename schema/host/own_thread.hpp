// Work that must not leave a trace on the thread it runs on.
#pragma once

#include <functional>

#include "schema/base/result.hpp"

namespace moored {

// Runs work on a thread that ends afterwards, so that namespaces it enters do not leak into the
// process. Errors: those of work; exhausted (NoThread: the machine or a limit of tasks gives none).
Status run_on_own_thread(const std::function<Status()>& work);

}  // namespace moored
